// The program under load. It writes the id of each request into its ledger before it does anything else, so the bench
// sees a request that came twice. The bytes of an answer follow from the id, so the bench sees a wrong answer.
//
//	GET HEAD POST /quick?id=&size=       answers with size bytes; a POST gets its own body back, once the body is whole
//	GET /slow?id=&size=&ms=              sends size bytes in eight pieces, spread over ms milliseconds
//	GET /poll?id=&ms=                    sends nothing for ms milliseconds, then answers
//	GET /events?id=&n=&ms=               sends n server-sent events, one every ms milliseconds
//	GET /echo?id=                        opens a WebSocket and sends each frame back
//	GET /healthz /status
package main

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const pieces = 8

var color = os.Getenv("COLOR")

// openLedger opens a file without a buffer, so a killed program has lost no line.
func openLedger() *os.File {
	name := fmt.Sprintf("ledger-%s-%d-%d", color, os.Getpid(), time.Now().UnixNano())
	file, err := os.OpenFile(filepath.Join(os.Getenv("DATA_DIR"), name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		log.Fatal(err)
	}
	return file
}

func number(r *http.Request, name string) int {
	value, _ := strconv.Atoi(r.URL.Query().Get(name))
	return value
}

func content(id string, size int) []byte {
	return []byte(strings.Repeat(id+" ", size/(len(id)+1)+1))[:size]
}

func answer(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}

func quick(w http.ResponseWriter, r *http.Request, id string) {
	if r.Method != http.MethodPost {
		answer(w, content(id, number(r, "size")))
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	answer(w, body)
}

func slow(w http.ResponseWriter, r *http.Request, id string) {
	body := content(id, number(r, "size"))
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	for piece := 0; piece < pieces; piece++ {
		if piece > 0 { // no pause after the last piece: the next request on this connection would wait for it
			time.Sleep(time.Duration(number(r, "ms")) * time.Millisecond / (pieces - 1))
		}
		w.Write(body[len(body)*piece/pieces : len(body)*(piece+1)/pieces])
		w.(http.Flusher).Flush()
	}
}

func poll(w http.ResponseWriter, r *http.Request, id string) {
	time.Sleep(time.Duration(number(r, "ms")) * time.Millisecond)
	answer(w, content(id, 100))
}

func events(w http.ResponseWriter, r *http.Request, id string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for event := 0; event < number(r, "n"); event++ {
		fmt.Fprintf(w, "id: %d\ndata: %s\n\n", event, id)
		w.(http.Flusher).Flush()
		time.Sleep(time.Duration(number(r, "ms")) * time.Millisecond)
	}
}

func echo(w http.ResponseWriter, r *http.Request, id string) {
	key := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	line, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	defer line.Close()
	fmt.Fprintf(buffered, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"X-Color: %s\r\nSec-WebSocket-Accept: %s\r\n\r\n", color, base64.StdEncoding.EncodeToString(key[:]))
	buffered.Flush()
	for turn(buffered) == nil {
	}
}

// turn sends one frame of the client back with the same opcode (RFC 6455). A frame has at most 125 bytes. After a close
// frame turn returns io.EOF.
func turn(line *bufio.ReadWriter) error {
	var head struct{ Kind, Length byte }
	var mask [4]byte
	if err := binary.Read(line, binary.BigEndian, &head); err != nil {
		return err
	}
	if head.Length < 128 || head.Length > 128+125 {
		return io.ErrUnexpectedEOF
	}
	text := make([]byte, head.Length-128)
	for _, part := range [][]byte{mask[:], text} {
		if _, err := io.ReadFull(line, part); err != nil {
			return err
		}
	}
	for at := range text {
		text[at] ^= mask[at%4]
	}
	line.Write(append([]byte{head.Kind, byte(len(text))}, text...))
	if err := line.Flush(); err != nil || head.Kind&15 == 8 {
		return io.EOF
	}
	return nil
}

func main() {
	ledger := openLedger()
	noted := func(path string, act func(http.ResponseWriter, *http.Request, string)) {
		handle := func(w http.ResponseWriter, r *http.Request) {
			id := r.URL.Query().Get("id")
			if _, err := ledger.WriteString(id + "\n"); err != nil {
				panic(err)
			}
			w.Header().Set("X-Color", color)
			act(w, r, id)
		}
		http.HandleFunc(path, handle)
		http.HandleFunc("/unbuffered"+path, handle)
	}
	noted("/quick", quick)
	noted("/slow", slow)
	noted("/poll", poll)
	noted("/events", events)
	noted("/echo", echo)
	http.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"message": "ok"}`) })
	http.HandleFunc("/status", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"color": %q, "release": %q}`, color, os.Getenv("RELEASE"))
	})
	network, address := "tcp", "127.0.0.1:"+os.Getenv("PORT")
	if path := os.Getenv("SOCKET"); path != "" {
		network, address = "unix", path
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(listener, nil))
}
