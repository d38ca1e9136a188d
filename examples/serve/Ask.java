import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.time.Duration;

/** Asks about one image. Prints the decision; the exit code is 0 only when it is `allow`. */
public class Ask {
    public static void main(String[] arguments) throws Exception {
        String server = System.getenv().getOrDefault("ATHENA_SERVER", "http://127.0.0.1:8080");
        // One client for the whole program: it keeps connections.
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        HttpRequest request = HttpRequest.newBuilder(URI.create(server + "/v1/classify"))
                .header("Content-Type", "application/octet-stream")
                .timeout(Duration.ofSeconds(90))
                .POST(HttpRequest.BodyPublishers.ofFile(Path.of(arguments[0])))
                .build();
        HttpResponse<Void> answer = client.send(request, HttpResponse.BodyHandlers.discarding());
        String decision = answer.headers().firstValue("Athena-Decision").orElse("none");
        System.out.println(decision);
        System.exit(decision.equals("allow") ? 0 : 1);
    }
}
