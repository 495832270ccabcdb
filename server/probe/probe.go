// Package probe asks the decoys of a domain, over the network, what an audit cannot tell from the zone.
//
// It looks up the names of their addresses, and connects to each, and to the real exchanges, as a sender does. What it finds it returns as
// findings of package mail. It never sends a message. The standards are RFC 5321 4.2 (replies) and RFC 1035 3.5 (addresses to names).
package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/textproto"
	"time"

	"mxtrap/server/health"
	"mxtrap/zone/mail"
)

// probeTime is how long an audit waits for a resolver or a host.
const probeTime = 10 * time.Second

// decoysOf are the decoys of a domain with each of their addresses, an address once.
func decoysOf(d *mail.Domain, do func(host string, ip netip.Addr)) {
	seen := map[netip.Addr]bool{}
	for _, e := range d.Exchanges {
		for _, ip := range e.Addresses {
			if e.Role == mail.Decoy && !seen[ip] {
				seen[ip] = true
				do(e.Host, ip)
			}
		}
	}
}

// MissingPTR looks up the names of the decoys' addresses.
func MissingPTR(ctx context.Context, resolvers []string, d *mail.Domain) (findings []mail.Finding) {
	resolver := &net.Resolver{}
	if len(resolvers) > 0 {
		resolver.PreferGo = true
		resolver.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, resolvers[0])
		}
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	decoysOf(d, func(host string, ip netip.Addr) {
		names, err := resolver.LookupAddr(ctx, ip.String())
		var failed *net.DNSError
		switch {
		case errors.As(err, &failed) && failed.IsNotFound || err == nil && len(names) == 0:
			findings = append(findings, mail.Finding{Severity: mail.Weakness, About: []string{ip.String()}, Sees: "no PTR record: mail hosts have one",
				Change: "ask whoever delegates the address for the name " + host})
		case err != nil:
			findings = append(findings, mail.Finding{Severity: mail.Advice, About: []string{ip.String()}, Sees: "its PTR record could not be looked up: " + err.Error(), Change: "try again"})
		}
	})
	return findings
}

// UnfitDecoys connects to the decoys as a sender does. A decoy must tell each one to try again later: a 5xx bounces the mail of honest
// senders who come while the real hosts are down, and who is accepted comes back.
func UnfitDecoys(ctx context.Context, port string, d *mail.Domain) (findings []mail.Finding) {
	decoysOf(d, func(host string, ip netip.Addr) {
		code, err := offer(ctx, netip.AddrPortFrom(ip, 0).Addr().String(), port, d.Owner)
		find := func(s mail.Severity, sees string) {
			findings = append(findings, mail.Finding{Severity: s, About: []string{host, ip.String()}, Sees: sees, Change: "let it answer 421 at once, or 451 to every recipient, and nothing else"})
		}
		switch {
		case err != nil:
			find(mail.Advice, "nobody answers: "+err.Error()+"; a connection refused does no harm, but tells nothing of who came")
		case code >= 500:
			find(mail.Hazard, fmt.Sprintf("it answers %d: while the real hosts are down it bounces honest mail", code))
		case code < 400:
			find(mail.Hazard, fmt.Sprintf("it answers %d to a recipient: it accepts mail, and honest senders may stay with it", code))
		}
	})
	return findings
}

// UnwellHosts visits the real exchanges as the catch does: while one of them is not well, mxtrap takes no visit to a decoy for evidence.
func UnwellHosts(ctx context.Context, port uint16, d *mail.Domain) (findings []mail.Finding) {
	for _, e := range d.Exchanges {
		if e.Role == mail.Decoy {
			continue
		}
		for _, ip := range e.Addresses {
			if err := health.Dial(ctx, netip.AddrPortFrom(ip, port), "localhost"); err != nil {
				findings = append(findings, mail.Finding{
					Severity: mail.Advice, About: []string{e.Host, ip.String()}, Sees: "the real host is not well, as seen from here: " + err.Error(),
					Change: "mend it; until it is well the catch takes no visit to a decoy for evidence",
				})
			}
		}
	}
	return findings
}

// offer offers mail for a domain up to the recipient, and returns the first code that is no consent, or that to the recipient.
func offer(ctx context.Context, host, port, domain string) (code int, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	smtp := textproto.NewConn(conn)
	for _, line := range []string{"", "EHLO localhost", "MAIL FROM:<>", "RCPT TO:<postmaster@" + domain + ">"} {
		if line != "" {
			if err := smtp.PrintfLine("%s", line); err != nil {
				return 0, err
			}
		}
		if code, _, err = smtp.ReadResponse(0); err != nil {
			return 0, err
		}
		if code >= 400 {
			break
		}
	}
	smtp.PrintfLine("QUIT")
	return code, nil
}
