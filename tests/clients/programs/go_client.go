// Go's net/http with its default transport, which negotiates HTTP/2 by itself; `--http1` turns that off in the
// documented way (an empty TLSNextProto).
package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

type turn struct {
	Op       string  `json:"op"`
	URL      string  `json:"url"`
	Millis   float64 `json:"ms"`
	Status   int     `json:"status,omitempty"`
	Protocol string  `json:"protocol,omitempty"`
	Type     string  `json:"type,omitempty"`
	Length   int     `json:"length"`
	Sha256   string  `json:"sha256,omitempty"`
	Said     string  `json:"said,omitempty"`
	Error    string  `json:"error,omitempty"`
}

func perform(client *http.Client, told *turn, payload []byte) error {
	var body io.Reader
	if told.Op == "POST" {
		body = bytes.NewReader(payload)
	}
	request, err := http.NewRequest(told.Op, told.URL, body)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	digest := sha256.Sum256(got)
	told.Status, told.Length, told.Sha256 = answer.StatusCode, len(got), hex.EncodeToString(digest[:])
	told.Protocol, told.Type = strings.TrimSuffix(answer.Proto, ".0"), answer.Header.Get("content-type")
	if answer.StatusCode >= 400 {
		told.Said = string(got)
	}
	return nil
}

func main() {
	payload, err := os.ReadFile(os.Getenv("PAYLOAD"))
	if err != nil {
		panic(err)
	}
	client := &http.Client{Timeout: 30 * time.Second}
	for _, argument := range os.Args[1:] {
		if argument == "--http1" {
			none := map[string]func(string, *tls.Conn) http.RoundTripper{}
			client.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, TLSNextProto: none}
			continue
		}
		op, url, _ := strings.Cut(argument, "=")
		told := turn{Op: op, URL: url}
		started := time.Now()
		if err := perform(client, &told, payload); err != nil {
			told.Error = err.Error()
		}
		told.Millis = float64(time.Since(started).Microseconds()) / 1000
		line, _ := json.Marshal(told)
		os.Stdout.Write(append(line, '\n'))
	}
}
