package demo

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// host is a real mail host. It takes every message, but from clients that the DNSBL lists, and defers the first try of one as greylisting does.
type host struct {
	addr    netip.AddrPort
	policy  string // where it tells of its clients, as Postfix does
	listed  func(client netip.Addr) bool
	greyish netip.Addr // the client that it defers once

	mu       sync.Mutex
	listener net.Listener // nil: the host is down
	open     map[net.Conn]bool
	deferred bool
	running  sync.WaitGroup
}

// up has the host take connections.
func (h *host) up() error {
	l, err := net.Listen("tcp", h.addr.String())
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listener, h.open = l, map[net.Conn]bool{}
	h.running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.open[conn] = true
			h.mu.Unlock()
			h.running.Go(func() {
				h.serve(conn)
				h.mu.Lock()
				defer h.mu.Unlock()
				delete(h.open, conn)
				conn.Close()
			})
		}
	})
	return nil
}

// down ends the host, and all that it does.
func (h *host) down() {
	h.mu.Lock()
	if h.listener != nil {
		h.listener.Close()
		h.listener = nil
	}
	for conn := range h.open {
		conn.Close()
	}
	h.mu.Unlock()
	h.running.Wait()
}

// serve holds an SMTP session (RFC 5321).
func (h *host) serve(conn net.Conn) {
	conn.SetDeadline(time.Now().Add(sessionTime))
	client := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr()
	in := bufio.NewScanner(conn)
	say := func(line string) { fmt.Fprintf(conn, "%s\r\n", line) }
	say("220 mail.example.com ESMTP")
	recipients := 0
	for in.Scan() {
		verb, _, _ := strings.Cut(strings.ToUpper(in.Text()), " ")
		switch verb {
		case "EHLO":
			say("250-mail.example.com")
			say("250 8BITMIME")
		case "RCPT":
			answer := h.recipient(client)
			if answer[0] == '2' {
				recipients++
			}
			say(answer)
		case "DATA":
			if recipients == 0 {
				say("554 5.5.1 no valid recipients")
				continue
			}
			say("354 go on")
			for in.Scan() && in.Text() != "." {
			}
			say("250 2.0.0 taken")
		case "QUIT":
			say("221 2.0.0 bye")
			return
		default:
			say("250 2.0.0 ok")
		}
	}
}

// recipient is the answer to a recipient: the DNSBL is asked first, then mxtrap is told of the client.
func (h *host) recipient(client netip.Addr) string {
	if h.listed(client) {
		return "554 5.7.1 blocked using " + dnsbl
	}
	if conn, err := net.Dial("tcp", h.policy); err == nil {
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(sessionTime))
		fmt.Fprintf(conn, "request=smtpd_access_policy\nclient_address=%s\nclient_name=%s\n\n", client, nameOf(client))
		bufio.NewReader(conn).ReadString('\n')
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if client == h.greyish && !h.deferred {
		h.deferred = true
		return "450 4.2.0 greylisted, try again"
	}
	return "250 2.1.5 ok"
}
