package resolve

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"blitiri.com.ar/go/spf"
)

// vouchTime is how long the look-ups about a client may take together.
const vouchTime = 20 * time.Second

// Vouches says whether DNS speaks for a mail client: its address has a name that leads back to it, and SPF lets it send for a domain (RFC
// 7208). The name is "" where none leads back. The error says that this could not be found out, such as when no resolver answers.
func Vouches(ctx context.Context, servers []string, client netip.Addr, helo, domain string) (name string, vouches bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, vouchTime)
	defer cancel()
	resolver := &net.Resolver{PreferGo: true, Dial: func(dialing context.Context, network, address string) (net.Conn, error) {
		if len(servers) > 0 {
			address = servers[0]
		}
		conn, err := new(net.Dialer).DialContext(dialing, network, address)
		if err == nil { // the library's resolver awaits an answer though the context has ended
			context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })
		}
		return conn, err
	}}
	names, err := resolver.LookupAddr(ctx, client.String())
	if isNone(err) {
		return "", false, nil
	} else if err != nil {
		return "", false, err
	}
	for _, n := range names[:min(len(names), mostNames)] {
		n = strings.TrimSuffix(n, ".")
		addrs, err := resolver.LookupNetIP(ctx, "ip", n)
		if err != nil && !isNone(err) {
			return "", false, err
		}
		if name == "" && slices.ContainsFunc(addrs, func(a netip.Addr) bool { return a.Unmap() == client }) {
			name = n
		}
	}
	if name == "" || domain == "" {
		return name, false, nil
	}
	result, why := spf.CheckHostWithSender(client.AsSlice(), helo, "postmaster@"+domain, spf.WithContext(ctx), spf.WithResolver(resolver))
	if result == spf.TempError {
		return name, false, cmp.Or(why, errors.New("no answer to the look-ups of SPF"))
	}
	return name, result == spf.Pass, nil
}

// mostNames is how many names of an address are looked at.
const mostNames = 5

// isNone says whether DNS has answered that there is nothing.
func isNone(err error) bool {
	var failed *net.DNSError
	return errors.As(err, &failed) && failed.IsNotFound
}
