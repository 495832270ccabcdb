package resolve

import (
	"context"
	"encoding/hex"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// DS asks the resolvers, or those of the system where none are named, which DS records the parent of a zone has, and how long resolvers
// keep them. The records are data as in a message.
func DS(ctx context.Context, servers []string, zone string) (records [][]byte, ttl time.Duration, err error) {
	if servers, err = OrSystem(servers); err != nil {
		return nil, 0, err
	}
	var reply *dns.Msg
	for _, server := range servers {
		if reply, err = exchange(ctx, server, zone, dns.TypeDS); err == nil {
			break
		}
	}
	if err != nil {
		return nil, 0, err
	}
	for _, r := range reply.Answer {
		ds, ok := r.(*dns.DS)
		if !ok || !strings.EqualFold(ds.Hdr.Name, dns.Fqdn(zone)) {
			continue
		}
		digest, err := hex.DecodeString(ds.Digest)
		if err != nil {
			continue
		}
		records = append(records, append([]byte{byte(ds.KeyTag >> 8), byte(ds.KeyTag), ds.Algorithm, ds.DigestType}, digest...))
		ttl = max(ttl, time.Duration(ds.Hdr.Ttl)*time.Second)
	}
	return records, ttl, nil
}
