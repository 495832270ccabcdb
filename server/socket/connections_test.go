package socket

import (
	"net"
	"net/netip"
	"testing"
)

// connOf is a connection of a client that only says whose it is, and whether it is closed.
type connOf struct {
	net.Conn
	from   string
	closed bool
}

func (c *connOf) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(c.from), 1))
}
func (c *connOf) Close() error { c.closed = true; return nil }

func TestWhoHasMostConnectionsMakesRoom(t *testing.T) {
	p := &places{most: 4, perClient: 3}
	var conns []*connOf
	var taken []*place
	enter := func(from string) (*place, bool) {
		conns = append(conns, &connOf{from: from})
		c, full := p.enter(conns[len(conns)-1])
		taken = append(taken, c)
		if c != nil {
			c.moved.Store(int64(len(conns)))
		}
		return c, full
	}
	for _, from := range []string{"192.0.2.1", "2001:db8::1", "2001:db8::2", "2001:db8::3"} {
		if c, full := enter(from); c == nil || full {
			t.Fatalf("%s: %v %v", from, c, full)
		}
	}
	if c, _ := enter("2001:db8::4"); c != nil {
		t.Error("a client has more than one may have")
	}
	taken[1].moved.Store(100) // answers just now
	if c, full := enter("192.0.2.2"); c == nil || !full {
		t.Errorf("an honest client: %v %v", c, full)
	}
	for i, want := range []bool{false, false, true, false, false, false} {
		if conns[i].closed != want {
			t.Errorf("connection %d of %s: closed %v", i, conns[i].from, conns[i].closed)
		}
	}
	taken[2].Close() // the server ends it too
	if len(p.open) != 4 || p.clients[taken[1].client] != 2 {
		t.Errorf("%d open, %v", len(p.open), p.clients)
	}
	for _, c := range taken {
		if c != nil {
			c.Close()
		}
	}
	if len(p.open) != 0 || len(p.clients) != 0 {
		t.Errorf("%v, %v", p.open, p.clients)
	}
}
