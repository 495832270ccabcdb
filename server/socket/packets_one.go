package socket

import (
	"net"
	"net/netip"

	"mxtrap/server/answer"
)

// onePacket is a packetConn with batches of one packet, for any system.
type onePacket struct {
	conn   *net.UDPConn
	from   netip.AddrPort
	buffer [packetSize]byte
	packet [1]answer.Packet
}

func (p *onePacket) receive() ([]answer.Packet, error) {
	n, from, err := p.conn.ReadFromUDPAddrPort(p.buffer[:])
	if err != nil {
		return nil, err
	}
	p.from, p.packet[0] = from, answer.Packet{Data: p.buffer[:n], From: from}
	return p.packet[:], nil
}

func (p *onePacket) send() (unsent int) {
	if p.packet[0].Data == nil {
		return 0
	}
	if _, err := p.conn.WriteToUDPAddrPort(p.packet[0].Data, p.from); err != nil {
		return 1
	}
	return 0
}

func (p *onePacket) reply(int) func([]byte) error {
	to := p.from
	return func(octets []byte) error {
		_, err := p.conn.WriteToUDPAddrPort(octets, to)
		return err
	}
}

func (p *onePacket) overflowed() uint64 { return 0 }
