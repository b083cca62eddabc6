// A small web server that says which color it is, to be deployed blue-green.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"html/template"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// Set by the linker: go build -ldflags "-X main.version=v2 -X main.broken=exit"
var (
	version = "v1"
	broken  = "" // on purpose: "exit" never starts, "500" is never healthy
)

const maxEcho = 32 << 20 // bytes

var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8">
<title>{{.Color}} {{.Version}}</title>
<style>
  body { background: {{.Background}}; color: white; font: 2rem system-ui; text-align: center; margin-top: 20vh }
</style>
<h1>{{.Color}}</h1>
<p>version {{.Version}}{{with .Release}}, release {{.}}{{end}}</p>
`))

var backgrounds = map[string]template.CSS{
	"blue":  "rgb(0,119,194)",
	"green": "rgb(0,118,108)",
	"":      "dimgray",
}

func main() {
	usual, err := strconv.Atoi(cmp.Or(os.Getenv("PORT"), "8080"))
	if err != nil {
		log.Fatalf("PORT is not a number: %v", err)
	}
	port := flag.Int("port", usual, "listen on this port of 127.0.0.1")
	color := flag.String("color", os.Getenv("COLOR"), "blue or green")
	flag.Parse()

	if broken == "exit" {
		log.Fatal("broken on purpose: cannot open the database")
	}
	if err := serve(*port, routes(*color)); err != nil {
		log.Fatal(err)
	}
}

func routes(color string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", home(color)) // and no other path
	mux.HandleFunc("GET /healthz", health)
	mux.HandleFunc("GET /status", says("color", color))
	mux.HandleFunc("GET /version", says("version", version))
	mux.HandleFunc("POST /echo", echo)
	return mux
}

func home(color string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		page.Execute(w, map[string]any{
			"Color": color, "Version": version, "Release": os.Getenv("RELEASE"), "Background": backgrounds[color],
		})
	}
}

func health(w http.ResponseWriter, r *http.Request) {
	if broken == "500" {
		http.Error(w, "broken on purpose: not healthy", http.StatusInternalServerError)
		return
	}
	says("message", "ok")(w, r)
}

func says(key, value string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]string{key: value})
	}
}

// echo answers only when it has the whole body, so that a 200 means nothing was cut off.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEcho))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header()["Content-Type"] = r.Header["Content-Type"]
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}

// serve listens until SIGTERM or SIGINT, then lets running requests end.
func serve(port int, handler http.Handler) error {
	server := &http.Server{
		Addr:              net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       120 * time.Second, // longer than nginx keeps a connection (60 s): nginx closes first
	}
	stopped, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	failed := make(chan error, 1)
	log.Printf("version %s starts on %s", version, server.Addr)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-stopped.Done():
		end, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return server.Shutdown(end)
	}
}
