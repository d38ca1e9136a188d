// Asks about one image. Prints the decision; the exit code is 0 only when it is `allow`.
package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"time"
)

func main() {
	server := os.Getenv("ATHENA_SERVER")
	if server == "" {
		server = "http://127.0.0.1:8080"
	}
	decision := ask(server, os.Args[1])
	fmt.Println(decision)
	if decision != "allow" {
		os.Exit(1)
	}
}

// ask gives the decision, or "none": whatever goes wrong is not an allowed image.
func ask(server, file string) string {
	image, err := os.ReadFile(file)
	if err != nil {
		return "none"
	}
	// One client for the whole program: it keeps connections.
	client := &http.Client{Timeout: 90 * time.Second}
	answer, err := client.Post(server+"/v1/classify", "application/octet-stream", bytes.NewReader(image))
	if err != nil {
		return "none"
	}
	defer answer.Body.Close()
	if decision := answer.Header.Get("Athena-Decision"); decision != "" {
		return decision
	}
	return "none"
}
