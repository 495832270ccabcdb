package fake

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"testing"
)

// Well is what a mail host says that is well: its greeting, and an answer to each of the lines that a visitor says.
var Well = []string{"220 mail ESMTP\r\n", "250 mail\r\n", "221 Bye\r\n"}

// MailHost plays a mail host at an address. It says these lines, the first at once and one for each that it hears, and hangs up.
func MailHost(t *testing.T, addr string, lines ...string) (at netip.AddrPort, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				for i, line := range lines {
					if i > 0 {
						if _, err := in.ReadString('\n'); err != nil {
							return
						}
					}
					fmt.Fprint(conn, line)
				}
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort(), func() { l.Close() }
}
