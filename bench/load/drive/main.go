// Measures what a proxy can do while nothing else happens. Each kept connection sends its next request as soon as the
// answer to the last request has come.
//
//	drive ADDRESS CONNECTIONS SECONDS   prints requests per second, and the median and 99th percentile in microseconds
package main

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"
)

const request = "GET /status HTTP/1.1\r\nHost: load.test\r\n\r\n"

// ask sends requests on one connection until the end, and returns how long each answer took. A failed request ends the
// program, because nothing is deployed here that could explain a failure.
func ask(address string, end time.Time) (took []time.Duration) {
	var line net.Conn
	var reader *bufio.Reader
	for time.Now().Before(end) {
		begin := time.Now()
		if line == nil {
			var err error
			if line, err = net.Dial("tcp", address); err != nil {
				log.Fatal(err)
			}
			reader = bufio.NewReader(line)
		}
		if _, err := io.WriteString(line, request); err != nil {
			log.Fatal(err)
		}
		answer, err := http.ReadResponse(reader, nil)
		if err != nil {
			log.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != 200 {
			log.Fatal(answer.Status, err)
		}
		took = append(took, time.Since(begin))
		if answer.Close {
			line.Close()
			line = nil
		}
	}
	return took
}

func main() {
	connections, _ := strconv.Atoi(os.Args[2])
	seconds, _ := strconv.ParseFloat(os.Args[3], 64)
	end := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	var all []time.Duration
	var lock sync.Mutex
	var group sync.WaitGroup
	for number := 0; number < connections; number++ {
		group.Add(1)
		go func() {
			defer group.Done()
			took := ask(os.Args[1], end)
			lock.Lock()
			all = append(all, took...)
			lock.Unlock()
		}()
	}
	group.Wait()
	sort.Slice(all, func(a, b int) bool { return all[a] < all[b] })
	at := func(part int) int64 { return all[len(all)*part/100].Microseconds() }
	fmt.Println(len(all), float64(len(all))/seconds, at(50), at(99))
}
