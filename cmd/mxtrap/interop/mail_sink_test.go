//go:build interop && linux

package interop

import (
	"bufio"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// manner is how a mail host treats who connects.
type manner string

// The manners.
const (
	accepts  manner = "accepts"
	refuses  manner = "refuses the connection"
	drops    manner = "drops packets"
	busy     manner = "greets with 421"
	rejects  manner = "greets with 554"
	defers   manner = "answers 451 to a recipient"
	lacks    manner = "answers 451 to a recipient, and offers no SMTPUTF8"
	disowns  manner = "answers 550 to a recipient"
	sinkPort        = "25"
)

// sink is a mail host of the test. It logs what comes.
type sink struct {
	ip string

	mu          sync.Mutex
	manner      manner
	listener    net.Listener
	connections int
	messages    []string // subjects
}

// be makes the sink behave in a manner and forget what has come.
func (s *sink) be(t *testing.T, m manner) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connections, s.messages = 0, nil
	if s.manner == m {
		return
	}
	if s.manner == drops {
		nft(t, "delete element inet mail dropped { "+s.ip+" }")
	}
	s.manner = m
	switch listens := m != refuses; {
	case m == drops:
		nft(t, "add element inet mail dropped { "+s.ip+" }")
	case listens && s.listener == nil:
		l, err := net.Listen("tcp", net.JoinHostPort(s.ip, sinkPort))
		if err != nil {
			t.Fatal(err)
		}
		s.listener = l
		go s.serve(l)
	case !listens && s.listener != nil:
		s.listener.Close()
		s.listener = nil
	}
}

func nft(t *testing.T, command string) {
	t.Helper()
	if out, err := exec.Command("nft", command).CombinedOutput(); err != nil {
		t.Fatalf("nft %s: %v\n%s", command, err, out)
	}
}

func (s *sink) serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.connections++
		m := s.manner
		s.mu.Unlock()
		go s.talk(conn, m)
	}
}

// talk speaks enough SMTP for any sender.
func (s *sink) talk(conn net.Conn, m manner) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	in := bufio.NewReader(conn)
	say := func(line string) { fmt.Fprintf(conn, "%s\r\n", line) }
	switch m {
	case busy:
		say("421 4.3.2 try again later")
		return
	case rejects:
		say("554 5.7.1 go away")
	default:
		say("220 sink ESMTP")
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		verb := strings.ToUpper(strings.TrimSpace(line))
		switch {
		case strings.HasPrefix(verb, "QUIT"):
			say("221 2.0.0 bye")
			return
		case m == rejects:
			say("503 5.5.1 go away")
		case strings.HasPrefix(verb, "EHLO") && m != lacks:
			say("250-sink\r\n250-8BITMIME\r\n250 SMTPUTF8")
		case strings.HasPrefix(verb, "RCPT") && (m == defers || m == lacks):
			say("451 4.7.1 try again later")
		case strings.HasPrefix(verb, "RCPT") && m == disowns:
			say("550 5.1.1 no such user")
		case verb == "DATA":
			say("354 go on")
			subject := ""
			for line := ""; line != ".\r\n"; {
				if line, err = in.ReadString('\n'); err != nil {
					return
				}
				if after, ok := strings.CutPrefix(line, "Subject: "); ok {
					subject = strings.TrimSpace(after)
				}
			}
			s.mu.Lock()
			s.messages = append(s.messages, subject)
			s.mu.Unlock()
			say("250 2.0.0 taken")
		default:
			say("250 2.1.0 ok")
		}
	}
}

// came is how many connections and messages have come.
func (s *sink) came() (connections int, messages []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections, append([]string(nil), s.messages...)
}
