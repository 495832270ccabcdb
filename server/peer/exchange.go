package peer

import (
	"context"
	"mxtrap/zone"
	"time"

	"github.com/miekg/dns"
)

// Ask asks another server, signed where there is a key, and ends with the context. What it answers counts even where its signature is not
// good.
func Ask(ctx context.Context, network, address string, m *dns.Msg, k *Key, timeout time.Duration) (*dns.Msg, error) {
	client := &dns.Client{Net: network, Timeout: timeout, UDPSize: zone.MaxUDP}
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
