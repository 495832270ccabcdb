package health

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// dialTime is how long an exchange has for the whole visit. Senders wait longer (RFC 5321 4.5.3.2); a host that takes this long loses
// senders to the next one.
const dialTime = 10 * time.Second

// Bounds of a reply: octets of a line (RFC 5321 4.5.3.1.5), and lines.
const (
	maxReplyLine = 512
	maxReplyRows = 100
)

// errNoWay is the outcome where this host has no way to an address, such as one of a family that it does not have.
var errNoWay = errors.New("this host has no route to the address")

// Dial visits a mail host: it connects, awaits the greeting, says EHLO and takes its leave. The error says what was not as a sender needs it.
func Dial(ctx context.Context, to netip.AddrPort, name string) error {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", to.String())
	switch {
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT):
		return errNoWay
	case err != nil:
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })()
	in := bufio.NewReaderSize(conn, maxReplyLine)
	if err := expect(in, "greets with", "220"); err != nil {
		return err
	}
	fmt.Fprintf(conn, "EHLO %s\r\n", name)
	if err := expect(in, "answers EHLO with", "250"); err != nil {
		return err
	}
	fmt.Fprint(conn, "QUIT\r\n")
	return expect(in, "answers QUIT with", "221")
}

// expect reads a reply and wants its code.
func expect(in *bufio.Reader, what, code string) error {
	for range maxReplyRows {
		line, err := in.ReadSlice('\n')
		switch {
		case err != nil:
			return fmt.Errorf("%s nothing whole: %w", what, err)
		case len(line) < 4 || string(line[:3]) != code:
			return fmt.Errorf("%s %q", what, line[:min(len(line), 60)])
		case line[3] != '-':
			return nil
		}
	}
	return fmt.Errorf("%s more than %d lines", what, maxReplyRows)
}
