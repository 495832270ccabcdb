package demo

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"time"

	"mxtrap/zone/mail"
)

// sessionTime is how long a session may take in the demonstration: on loopback none does.
const sessionTime = 10 * time.Second

// manner is how a bot goes on where its recipient is refused.
type manner int

const (
	leaves manner = iota // QUIT
	deaf                 // DATA all the same
	hasty                // speaks before the greeting
)

// sender is somebody who sends mail to the example domain.
type sender struct {
	what   string
	honest bool
	from   netip.Addr
	domain string // of the address that it sends from
	manner manner
	choose func(d *mail.Domain) []mail.Exchange // of a bot, which takes one of these; nil: all in their order (RFC 5321 5.1)

	delivered, waits   bool
	realHosts, atDecoy int // sessions
}

// tries are the exchanges that it connects to, in order.
func (s *sender) tries(d *mail.Domain) []mail.Exchange {
	if s.choose == nil {
		return d.Exchanges
	}
	among := s.choose(d)
	return []mail.Exchange{among[rand.IntN(len(among))]}
}

// send has the sender try to deliver a message, and tells what it meets.
func (s *sender) send(d *mail.Domain, port uint16, tell func(exchange mail.Exchange, what string)) {
	s.waits = true
	for _, e := range s.tries(d) {
		what, done := s.talk(netip.AddrPortFrom(e.Addresses[0], port))
		if what != refused {
			if e.Role == mail.Decoy {
				s.atDecoy++
			} else {
				s.realHosts++
			}
		}
		tell(e, what)
		if done {
			s.waits = false
			return
		}
	}
}

// refused is what a sender meets where nobody listens.
const refused = "connection refused"

// talk holds one session, and says what came of it, and whether the sender is done with the message.
func (s *sender) talk(to netip.AddrPort) (what string, done bool) {
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: s.from.AsSlice()}, Timeout: sessionTime}).Dial("tcp", to.String())
	if err != nil {
		return refused, !s.honest
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(sessionTime))
	in := bufio.NewReader(conn)
	hear := func() string {
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return "the connection ends"
			}
			if len(line) < 4 || line[3] != '-' {
				return strings.TrimSpace(line)
			}
		}
	}
	ask := func(line string) string {
		fmt.Fprintf(conn, "%s\r\n", line)
		return hear()
	}
	if s.manner == hasty {
		fmt.Fprintf(conn, "EHLO %s\r\n", s.helo())
	}
	said := hear()
	if !strings.HasPrefix(said, "220") {
		return inShort(said), !s.honest
	}
	if s.manner == hasty {
		hear()
	} else {
		ask("EHLO " + s.helo())
	}
	ask("MAIL FROM:<news@" + s.domain + ">")
	said = ask("RCPT TO:<alice@" + domain + ">")
	what = inShort(said)
	switch {
	case strings.HasPrefix(said, "2"):
		if said = ask("DATA"); strings.HasPrefix(said, "354") {
			said = ask("Subject: hello\r\n\r\nhello\r\n.")
		}
		what = inShort(said)
		s.delivered = s.delivered || strings.HasPrefix(said, "2")
	case s.manner == deaf:
		ask("DATA")
		what += ", goes on to DATA"
	}
	ask("QUIT")
	return what, !s.honest || strings.HasPrefix(said, "2") || strings.HasPrefix(said, "5")
}

// inShort is a reply without what follows its first clause.
func inShort(reply string) string {
	reply, _, _ = strings.Cut(reply, ";")
	return reply
}

// helo is how the sender calls itself.
func (s *sender) helo() string {
	if name := nameOf(s.from); name != unknown {
		return name
	}
	return "win-" + s.from.String()[len("127.0."):]
}
