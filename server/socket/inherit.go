package socket

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/coreos/go-systemd/v22/activation"
)

// inherited are sockets that the service manager has opened for us (sd_listen_fds(3)), by their addresses.
type inherited struct {
	udp map[netip.AddrPort]*net.UDPConn
	tcp map[netip.AddrPort]*net.TCPListener
}

// inherit takes the sockets over. What is no UDP or TCP socket is refused.
func inherit() (in inherited, err error) {
	in = inherited{udp: map[netip.AddrPort]*net.UDPConn{}, tcp: map[netip.AddrPort]*net.TCPListener{}}
	for _, f := range activation.Files(true) {
		if err := in.take(f); err != nil {
			return in, fmt.Errorf("socket %s of the service manager: %w", f.Name(), err)
		}
	}
	return in, nil
}

func (in inherited) take(f *os.File) error {
	defer f.Close() // the connections have copies
	if l, err := net.FileListener(f); err == nil {
		tcp, ok := l.(*net.TCPListener)
		if !ok {
			return fmt.Errorf("%s is not TCP or UDP", l.Addr())
		}
		in.tcp[tcp.Addr().(*net.TCPAddr).AddrPort()] = tcp
		return nil
	}
	c, err := net.FilePacketConn(f)
	if err != nil {
		return err
	}
	udp, ok := c.(*net.UDPConn)
	if !ok {
		return fmt.Errorf("%s is not TCP or UDP", c.LocalAddr())
	}
	raw, err := udp.SyscallConn()
	if err != nil {
		return err
	}
	addr := udp.LocalAddr().(*net.UDPAddr).AddrPort()
	if err := controlUDP("udp"+ipVersion(addr.Addr()), addr.String(), raw); err != nil {
		return err
	}
	udp.SetReadBuffer(receiveBuffer)
	in.udp[addr] = udp
	return nil
}

// listenTCP is the inherited listener of an address, or a new one.
func (in inherited) listenTCP(addr netip.AddrPort) (*net.TCPListener, error) {
	if l := in.tcp[addr]; l != nil {
		delete(in.tcp, addr)
		return l, nil
	}
	l, err := net.Listen("tcp"+ipVersion(addr.Addr()), addr.String())
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

// listenUDP opens the sockets of the workers. An inherited one may be the only one: a process that may not bind to the port, or
// was given a socket that does not share it, has one worker for the address.
func (in inherited) listenUDP(addr netip.AddrPort, workers int) (sockets []*net.UDPConn, err error) {
	first := in.udp[addr]
	if first != nil {
		delete(in.udp, addr)
		sockets = append(sockets, first)
	}
	for len(sockets) < workers {
		udp, err := listenUDP(addr)
		if err != nil && first != nil {
			return sockets, nil
		}
		if err != nil {
			for _, s := range sockets {
				s.Close()
			}
			return nil, err
		}
		sockets = append(sockets, udp)
	}
	return sockets, nil
}
