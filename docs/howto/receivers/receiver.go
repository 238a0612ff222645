// A receiver of citybrain's webhooks: Go 1.18 or later, nothing to install.
//
//	WEBHOOK_SECRETS="whsec_…" PORT=9000 INBOX=inbox go run receiver.go
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"
)

const (
	tolerance = 300 * time.Second
	mostBytes = 1 << 20
	keepFor   = 7 * 24 * time.Hour
)

var (
	secrets [][]byte
	inbox   = or(os.Getenv("INBOX"), "inbox")
	arrived = make(chan struct{}, 1)
	anID    = regexp.MustCompile(`^[\w.-]{1,128}$`)
	digits  = regexp.MustCompile(`^[0-9]{1,12}$`)
)

// genuine: signed by whoever has one of our secrets, over these very bytes, and not long ago.
func genuine(id, timestamp, signatures string, body []byte) bool {
	if !anID.MatchString(id) || !digits.MatchString(timestamp) {
		return false
	}
	seconds, _ := strconv.ParseInt(timestamp, 10, 64)
	if age := time.Since(time.Unix(seconds, 0)); age > tolerance || age < -tolerance {
		return false
	}
	for i, given := range strings.Fields(signatures) { // two while a secret is changed
		for _, key := range secrets {
			mac := hmac.New(sha256.New, key)
			fmt.Fprintf(mac, "%s.%s.", id, timestamp)
			mac.Write(body)
			right := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
			if i < 10 && hmac.Equal([]byte(given), []byte(right)) {
				return true
			}
		}
	}
	return false
}

// keep puts it on disk under its id before we answer. A repeat finds its file there: Link makes it once, or not at all.
func keep(id string, body []byte) error {
	fresh, err := os.CreateTemp(inbox, ".")
	if err != nil {
		return err
	}
	defer os.Remove(fresh.Name())
	_, err = fresh.Write(body)
	if err = first(err, fresh.Sync(), fresh.Close()); err != nil {
		return err
	}
	if err = os.Link(fresh.Name(), filepath.Join(inbox, id+".json")); errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	folder, err := os.Open(inbox)
	if err != nil {
		return err
	}
	return first(folder.Sync(), folder.Close())
}

type message struct {
	Type string
	Data struct {
		Alerts []struct {
			Severity string
			Summary  map[string]string
		}
	}
}

// handle is your work: ring a bell, open a ticket. It may be called again after a crash in the middle of it.
func handle(told message) error {
	for _, alert := range told.Data.Alerts {
		fmt.Println(told.Type, alert.Severity, alert.Summary["en"])
	}
	return nil
}

// work does what is in the inbox and not done, in the order of arrival; also what a crash has left. What fails is tried again.
func work() {
	paths, _ := filepath.Glob(filepath.Join(inbox, "*.json"))
	sort.Slice(paths, func(a, b int) bool { return at(paths[a]).Before(at(paths[b])) })
	for _, path := range paths {
		if err := workOn(path); err != nil {
			log.Print(path, ": ", err) // the others go on
		}
	}
}

func workOn(path string) error {
	done := strings.TrimSuffix(path, "json") + "done"
	doneAt := at(done)
	if !doneAt.IsZero() {
		if time.Since(doneAt) > keepFor { // a repeat comes within four days
			return first(os.Remove(path), os.Remove(done))
		}
		return nil
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var told message
	if err := json.Unmarshal(body, &told); err != nil {
		return err
	}
	if err := handle(told); err != nil {
		return err
	}
	if err := os.WriteFile(done, nil, 0o600); err != nil {
		return err
	}
	fmt.Println("done", strings.TrimSuffix(filepath.Base(path), ".json"))
	return nil
}

// at: when a file was written; zero when there is none.
func at(path string) time.Time {
	if found, err := os.Stat(path); err == nil {
		return found.ModTime()
	}
	return time.Time{}
}

func receive(answer http.ResponseWriter, request *http.Request) {
	answer.Header().Set("Connection", "close")
	body, err := io.ReadAll(http.MaxBytesReader(answer, request.Body, mostBytes))
	head := request.Header
	switch {
	case err != nil:
		answer.WriteHeader(http.StatusRequestEntityTooLarge)
	case request.Method != http.MethodPost,
		!genuine(head.Get("webhook-id"), head.Get("webhook-timestamp"), head.Get("webhook-signature"), body):
		answer.WriteHeader(http.StatusUnauthorized)
	case keep(head.Get("webhook-id"), body) != nil:
		answer.WriteHeader(http.StatusInternalServerError)
	default:
		answer.WriteHeader(http.StatusNoContent)
		select {
		case arrived <- struct{}{}:
		default: // work has been told already
		}
	}
}

// first: the first thing that went wrong, if any did.
func first(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}

func or(value, other string) string {
	if value == "" {
		return other
	}
	return value
}

func main() {
	for _, one := range strings.Fields(os.Getenv("WEBHOOK_SECRETS")) {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(one, "whsec_"))
		if err != nil {
			log.Fatal("WEBHOOK_SECRETS: ", err)
		}
		secrets = append(secrets, key)
	}
	if err := os.MkdirAll(inbox, 0o700); err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+or(os.Getenv("PORT"), "9000"))
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for {
			work()
			select {
			case <-arrived:
			case <-time.After(time.Minute):
			}
		}
	}()
	fmt.Printf("listening on http://%s\n", listener.Addr())
	server := &http.Server{Handler: http.HandlerFunc(receive), ReadTimeout: 10 * time.Second}
	log.Fatal(server.Serve(listener))
}
