package peer

import (
	"context"
	"net"
	"time"

	"github.com/miekg/dns"

	"mxtrap/zone"
)

// Dialer connects to a peer from the address that the operator wants.
func (p Peer) Dialer(network string) *net.Dialer {
	switch {
	case !p.source.IsValid():
		return &net.Dialer{}
	case network == "tcp":
		return &net.Dialer{LocalAddr: &net.TCPAddr{IP: p.source.AsSlice(), Zone: p.source.Zone()}}
	}
	return &net.Dialer{LocalAddr: &net.UDPAddr{IP: p.source.AsSlice(), Zone: p.source.Zone()}}
}

// Ask is [Ask] of a peer.
func (p Peer) Ask(ctx context.Context, network string, m *dns.Msg, timeout time.Duration) (*dns.Msg, error) {
	return ask(ctx, p.Dialer(network), network, p.Address(), m, p.Key, timeout)
}

// Ask asks another server, and ends with the context.
func Ask(ctx context.Context, network, address string, m *dns.Msg, timeout time.Duration) (*dns.Msg, error) {
	return ask(ctx, &net.Dialer{}, network, address, m, nil, timeout)
}

// ask asks, signed where there is a key. What is answered counts even where its signature is not good.
func ask(ctx context.Context, dialer *net.Dialer, network, address string, m *dns.Msg, k *Key, timeout time.Duration) (*dns.Msg, error) {
	dialer.Timeout = timeout
	client := &dns.Client{Net: network, Timeout: timeout, UDPSize: zone.MaxUDP, Dialer: dialer}
	if k != nil {
		m = m.Copy()
		m.SetTsig(k.Name, k.Algorithm, Fudge, time.Now().Unix())
		client.TsigSecret = map[string]string{k.Name: k.Secret}
	}
	conn, err := client.DialContext(ctx, address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	reply, _, err := client.ExchangeWithConnContext(ctx, m, conn)
	return reply, err
}
