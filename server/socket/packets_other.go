//go:build unix && !linux

package socket

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// controlUDP lets the workers' sockets share a port.
func controlUDP(_, _ string, c syscall.RawConn) (err error) {
	outer := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	if outer != nil {
		return outer
	}
	return err
}

func newPacketConn(conn *net.UDPConn) (packetConn, error) { return &onePacket{conn: conn}, nil }
