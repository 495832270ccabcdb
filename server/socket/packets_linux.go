package socket

import (
	"bytes"
	"net"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"mxtrap/server/answer"
)

// controlUDP sets what a socket must be told before it is bound: that it shares its port, and to which address a packet came where
// it listens on all of them, so that the response leaves from there.
func controlUDP(network, address string, c syscall.RawConn) (err error) {
	wildcard := netip.MustParseAddrPort(address).Addr().IsUnspecified()
	level, info, discover := unix.IPPROTO_IP, unix.IP_PKTINFO, unix.IP_MTU_DISCOVER
	if network == "udp6" {
		level, info, discover = unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, unix.IPV6_MTU_DISCOVER
	}
	outer := c.Control(func(fd uintptr) {
		set := func(level, option, value int) {
			if err == nil {
				err = unix.SetsockoptInt(int(fd), level, option, value)
			}
		}
		set(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		set(unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1)
		set(level, discover, unix.IP_PMTUDISC_OMIT) // forged ICMP must not make responses come in fragments (RFC 9715)
		if wildcard {
			set(level, info, 1)
		}
	})
	if outer != nil {
		return outer
	}
	return err
}

// controlRoom holds a drop count and the address that a packet came to.
const controlRoom = 128

// manyPackets is a packetConn over recvmmsg(2) and sendmmsg(2). The calls do not block, and so go past the Go scheduler; what waits
// is the runtime's poller.
type manyPackets struct {
	conn     *net.UDPConn
	raw      syscall.RawConn
	wildcard bool

	received int // packets of the batch
	sent     int // up to here the batch has been sent, or given up
	until    int // up to here it is to be sent
	errno    syscall.Errno
	read     func(fd uintptr) bool
	write    func(fd uintptr) bool
	drops    uint32 // as the kernel last told
	lost     uint64 // since overflowed was called

	packets [batchSize]answer.Packet
	heads   [batchSize]messageHead
	vectors [batchSize]unix.Iovec
	names   [batchSize]unix.RawSockaddrInet6
	control [batchSize][controlRoom]byte
	buffers [batchSize][packetSize]byte
}

// messageHead is struct mmsghdr.
type messageHead struct {
	unix.Msghdr
	size uint32
}

func newPacketConn(conn *net.UDPConn) (packetConn, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	m := &manyPackets{conn: conn, raw: raw, wildcard: conn.LocalAddr().(*net.UDPAddr).IP.IsUnspecified()}
	m.read, m.write = m.receiveNow, m.sendNow
	for i := range m.heads {
		h := &m.heads[i]
		m.vectors[i].Base = &m.buffers[i][0]
		h.Iov = &m.vectors[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&m.names[i]))
	}
	m.received = batchSize
	m.reset()
	return m, nil
}

// reset gives the heads of the last batch their whole room again. The kernel tells its drop count with any packet: the first of a
// batch is asked for it.
func (m *manyPackets) reset() {
	for i := range m.received {
		h := &m.heads[i]
		h.Namelen = unix.SizeofSockaddrInet6
		m.vectors[i].SetLen(packetSize)
		if m.wildcard || i == 0 {
			h.Control = &m.control[i][0]
			h.SetControllen(controlRoom)
		}
	}
}

func (m *manyPackets) receive() ([]answer.Packet, error) {
	m.reset()
	if err := m.raw.Read(m.read); err != nil {
		m.received = 0
		return nil, err
	}
	if m.errno != 0 {
		m.received = 0
		return nil, m.errno
	}
	for i := range m.received {
		h := &m.heads[i]
		m.packets[i] = answer.Packet{Data: m.buffers[i][:min(h.size, packetSize)], From: address(&m.names[i]), Place: i}
		if m.wildcard || i == 0 {
			m.readControl(h)
		}
	}
	return m.packets[:m.received], nil
}

// address is that of a socket, of either family.
func address(name *unix.RawSockaddrInet6) netip.AddrPort {
	port := name.Port<<8 | name.Port>>8 // in network order
	if name.Family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(name.Addr), port)
}

func (m *manyPackets) receiveNow(fd uintptr) (done bool) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&m.heads)), batchSize, unix.MSG_DONTWAIT, 0, 0)
	if errno == unix.EAGAIN || errno == unix.EINTR {
		return false
	}
	m.received, m.errno = int(n), errno
	return true
}

// readControl notes how many packets the kernel has dropped, and leaves as control data for the response the address that it is to
// come from. The interface is left to the routing table.
func (m *manyPackets) readControl(h *messageHead) {
	data := unsafe.Slice(h.Control, h.Controllen)
	h.Control = nil
	h.SetControllen(0)
	for len(data) >= unix.SizeofCmsghdr {
		c := (*unix.Cmsghdr)(unsafe.Pointer(&data[0]))
		if c.Len < unix.SizeofCmsghdr || uint64(c.Len) > uint64(len(data)) {
			return
		}
		payload := unsafe.Pointer(&data[unix.CmsgLen(0)])
		switch {
		case c.Level == unix.SOL_SOCKET && c.Type == unix.SO_RXQ_OVFL:
			drops := *(*uint32)(payload)
			m.lost += uint64(drops - m.drops)
			m.drops = drops
		case c.Level == unix.IPPROTO_IP && c.Type == unix.IP_PKTINFO:
			(*unix.Inet4Pktinfo)(payload).Ifindex = 0
			h.Control = &data[0]
			h.SetControllen(unix.CmsgSpace(unix.SizeofInet4Pktinfo))
		case c.Level == unix.IPPROTO_IPV6 && c.Type == unix.IPV6_PKTINFO:
			(*unix.Inet6Pktinfo)(payload).Ifindex = 0
			h.Control = &data[0]
			h.SetControllen(unix.CmsgSpace(unix.SizeofInet6Pktinfo))
		}
		data = data[min(len(data), unix.CmsgSpace(int(c.Len)-unix.SizeofCmsghdr)):]
	}
}

func (m *manyPackets) send() (unsent int) {
	for m.sent = 0; m.sent < m.received; {
		if m.packets[m.sent].Data == nil {
			m.sent++
			continue
		}
		for m.until = m.sent; m.until < m.received && m.packets[m.until].Data != nil; m.until++ {
			m.vectors[m.until].SetLen(len(m.packets[m.until].Data))
		}
		if err := m.raw.Write(m.write); err != nil {
			return unsent + m.received - m.sent
		}
		if m.errno != 0 { // concerns the first packet alone
			m.sent++
			unsent++
		}
	}
	return unsent
}

func (m *manyPackets) sendNow(fd uintptr) (done bool) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&m.heads[m.sent])), uintptr(m.until-m.sent), unix.MSG_DONTWAIT, 0, 0)
	if errno == unix.EAGAIN || errno == unix.EINTR {
		return false
	}
	if m.errno = errno; errno == 0 {
		m.sent += int(n)
	}
	return true
}

func (m *manyPackets) reply(place int) func([]byte) error {
	h, to := &m.heads[place], m.packets[place].From
	var control []byte // that the response comes from the address that was asked
	if h.Control != nil {
		control = bytes.Clone(unsafe.Slice(h.Control, h.Controllen))
	}
	return func(octets []byte) error {
		_, _, err := m.conn.WriteMsgUDPAddrPort(octets, control, to)
		return err
	}
}

func (m *manyPackets) overflowed() (lost uint64) {
	lost, m.lost = m.lost, 0
	return lost
}
