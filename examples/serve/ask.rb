# Asks about one image. Prints the decision; the exit code is 0 only when it is `allow`.
require "net/http"

server = URI(ENV.fetch("ATHENA_SERVER", "http://127.0.0.1:8080"))
answer = Net::HTTP.start(server.host, server.port, read_timeout: 90) do |http|
  http.post("/v1/classify", File.binread(ARGV[0]), "Content-Type" => "application/octet-stream")
end
decision = answer["Athena-Decision"] || "none"
puts decision
exit decision == "allow"
