// Package survey finds out what other name servers have of a domain that is to move here.
//
// [Transfer] asks one of them for the whole zone. [Look] does that too, and where nobody sends it, asks for the names that a mail domain
// usually has: DNS does not list names, so others stay unknown.
//
// It changes nothing, and asks each question once.
package survey

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"mxtrap/server/peer"
	"mxtrap/server/resolve"
	"mxtrap/zone"
	"mxtrap/zone/rdata"
	"mxtrap/zone/rr"
)

// Found is what was found of a domain.
type Found struct {
	Domain  string // without its final dot
	Servers []string
	From    string // the server that answered
	Whole   bool   // it sent the whole zone
	Signed  bool   // with DNSSEC
	Records []rr.Record
	Silent  []string // questions that nobody answered

	failures map[string]int // of servers, in a row
}

// Bounds of what others may take: time, memory, questions.
const (
	askTime        = 5 * time.Second
	lookTime       = 2 * time.Minute
	transferTime   = 10 * time.Minute
	transferOctets = 128 << 20 // of records, as they are in memory
	recordOctets   = 64        // that one takes beside its name and data
	mostServers    = 8
	mostFailures   = 2   // of a server in a row, until it is asked no more
	mostHosts      = 200 // that records lead to
)

// selectors are under which DKIM keys are looked for.
var selectors = []string{"default", "dkim", "mail", "s1", "s2", "k1", "k2", "k3", "selector1", "selector2", "google"}

// Look finds out what the name servers of a domain have. They are those that are named, or those that the resolvers, or those of the system,
// know.
func Look(ctx context.Context, domain string, resolvers, servers []string) (*Found, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	f := &Found{Domain: domain, Servers: servers, failures: map[string]int{}}
	if len(servers) == 0 {
		var err error
		if f.Servers, err = serversOf(ctx, domain, resolvers); err != nil {
			return nil, err
		}
	}
	f.Servers = f.Servers[:min(mostServers, len(f.Servers))]
	for _, server := range f.Servers {
		if records, err := Transfer(ctx, server, domain, nil); err == nil {
			f.From, f.Whole, f.Records = server, true, records
			f.Signed = slices.ContainsFunc(records, func(r rr.Record) bool { return r.Type == dns.TypeDNSKEY })
			return f, nil
		}
	}
	return f, f.ask(ctx)
}

// serversOf are the addresses of a domain's name servers.
func serversOf(ctx context.Context, domain string, resolvers []string) (servers []string, err error) {
	resolvers, err = resolve.OrSystem(resolvers)
	if err != nil {
		return nil, err
	}
	answer := func(name string, qtype uint16) (all []dns.RR) {
		for _, r := range resolvers {
			var reply *dns.Msg
			if reply, err = ask(ctx, r, name, qtype, true); err == nil {
				return reply.Answer
			}
		}
		return nil
	}
	for _, r := range answer(domain, dns.TypeNS) {
		ns, ok := r.(*dns.NS)
		if !ok {
			continue
		}
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
			for _, r := range answer(ns.Ns, qtype) {
				switch a := r.(type) {
				case *dns.A:
					servers = append(servers, net.JoinHostPort(a.A.String(), "53"))
				case *dns.AAAA:
					servers = append(servers, net.JoinHostPort(a.AAAA.String(), "53"))
				}
			}
		}
	}
	if len(servers) == 0 && err == nil {
		err = errors.New("it has no name server that the resolver knows")
	}
	return servers, err
}

// ask asks a server one question, over TCP where UDP does not carry the answer.
func ask(ctx context.Context, server, name string, qtype uint16, recursive bool) (*dns.Msg, error) {
	m := new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype)
	m.RecursionDesired = recursive
	m.SetEdns0(zone.MaxUDP, false)
	reply, err := peer.Ask(ctx, "udp", server, m, askTime)
	if err == nil && reply.Truncated {
		reply, err = peer.Ask(ctx, "tcp", server, m, askTime)
	}
	switch {
	case err != nil:
		return nil, err
	case reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError:
		return nil, fmt.Errorf("%s answers %s", server, dns.RcodeToString[reply.Rcode])
	}
	return reply, nil
}

// question is a name below the domain, "@" for itself, and types.
type question struct {
	name  string
	types []uint16
}

// ask asks for the names that a mail domain usually has.
func (f *Found) ask(ctx context.Context) error {
	addresses := []uint16{dns.TypeA, dns.TypeAAAA}
	first := []question{{"@", []uint16{dns.TypeSOA, dns.TypeNS, dns.TypeMX, dns.TypeTXT, dns.TypeA, dns.TypeAAAA, dns.TypeCAA, dns.TypeHTTPS, dns.TypeDNSKEY}}}
	if err := f.askAll(ctx, first); err != nil {
		return err
	}
	if !slices.ContainsFunc(f.Records, func(r rr.Record) bool { return r.Type == dns.TypeSOA }) {
		return fmt.Errorf("none of its name servers answers for it: %s", strings.Join(f.Servers, ", "))
	}
	wildcard, err := f.wildcard(ctx)
	if err != nil {
		return err
	}
	before := len(f.Records)
	more := []question{
		{"www", addresses}, {"mail", addresses}, {"autoconfig", addresses}, {"autodiscover", addresses}, {"mta-sts", addresses},
		{"_dmarc", []uint16{dns.TypeTXT}}, {"_mta-sts", []uint16{dns.TypeTXT}}, {"_smtp._tls", []uint16{dns.TypeTXT}},
	}
	for _, s := range selectors {
		more = append(more, question{s + "._domainkey", []uint16{dns.TypeTXT}})
	}
	for _, service := range []string{"submission", "submissions", "imap", "imaps", "pop3", "pop3s", "autodiscover"} {
		more = append(more, question{"_" + service + "._tcp", []uint16{dns.TypeSRV}})
	}
	for _, r := range f.Records[:before] {
		if r.Type == dns.TypeMX {
			if host, in := f.below(r.Data[2:]); in {
				more = append(more, question{"_25._tcp." + host, []uint16{dns.TypeTLSA}})
			}
		}
	}
	if err := f.askAll(ctx, more); err != nil {
		return err
	}
	asked := map[string]bool{}
	for again := true; again && len(asked) < mostHosts; { // what is found may lead on
		again = false
		for _, r := range f.Records {
			skip, leads := map[uint16]int{dns.TypeMX: 2, dns.TypeNS: 0, dns.TypeCNAME: 0, dns.TypeSRV: 6}[r.Type]
			if !leads || len(r.Data) <= skip {
				continue
			}
			if host, in := f.below(r.Data[skip:]); in && !asked[host] {
				asked[host], again = true, true
				if err := f.askAll(ctx, []question{{host, addresses}}); err != nil {
					return err
				}
			}
		}
	}
	f.leaveOut(wildcard, before)
	return nil
}

// below is a name below the domain, without the domain.
func (f *Found) below(wire []byte) (name string, in bool) {
	return strings.CutSuffix(strings.ToLower(zone.NameOf(wire)), "."+f.Domain)
}

// leaveOut leaves names out of whom there is nothing but what a wildcard answers: they do not exist. Of a name that has more, or one below it, all
// is kept, for a wildcard does not answer there.
func (f *Found) leaveOut(wildcard map[string]bool, before int) {
	own := map[string]bool{}
	for _, r := range f.Records[before:] {
		if !wildcard[fmt.Sprint(r.Type, string(r.Data))] {
			own[r.Owner] = true
		}
	}
	f.Records = slices.DeleteFunc(f.Records, func(r rr.Record) bool {
		if !slices.ContainsFunc(f.Records[before:], func(other rr.Record) bool { return other.Owner == r.Owner }) || !wildcard[fmt.Sprint(r.Type, string(r.Data))] || strings.HasPrefix(r.Owner, "\x01*") {
			return false
		}
		for owner := range own {
			if zone.Within(owner, r.Owner) {
				return false
			}
		}
		return true
	})
}

// nobody is a name that no domain has.
const nobody = "mxtrap-looks-for-a-wildcard"

// wildcard are the records that a wildcard at the domain answers with, which become its own.
func (f *Found) wildcard(ctx context.Context) (made map[string]bool, err error) {
	before := len(f.Records)
	if err := f.askAll(ctx, []question{{nobody, []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeMX, dns.TypeTXT}}}); err != nil {
		return nil, err
	}
	made = map[string]bool{}
	apex, err := zone.WireName(dns.Fqdn(f.Domain))
	for i := range f.Records[before:] {
		r := &f.Records[before+i]
		made[fmt.Sprint(r.Type, string(r.Data))] = true
		r.Owner = "\x01*" + apex
	}
	return made, err
}

// askAll asks questions, and keeps the records that the answers have of the names.
func (f *Found) askAll(ctx context.Context, questions []question) error {
	for _, q := range questions {
		name := q.name + "." + f.Domain
		if q.name == "@" {
			name = f.Domain
		}
		for _, qtype := range q.types {
			reply, err := f.answer(ctx, name, qtype)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				f.Silent = append(f.Silent, name+" "+dns.TypeToString[qtype])
				continue
			}
			f.take(reply, name)
		}
	}
	return nil
}

// answer is that of the first server that has one.
func (f *Found) answer(ctx context.Context, name string, qtype uint16) (reply *dns.Msg, err error) {
	for _, server := range f.Servers {
		if f.failures[server] >= mostFailures {
			continue
		}
		if reply, err = ask(ctx, server, name, qtype, false); err == nil && reply.Authoritative {
			f.From, f.failures[server] = server, 0
			return reply, nil
		}
		f.failures[server]++
	}
	if err == nil {
		err = errors.New("no server is authoritative")
	}
	return nil, err
}

// take keeps the records of a name.
func (f *Found) take(reply *dns.Msg, name string) {
	for _, r := range reply.Answer {
		record, err := recordOf(r)
		switch {
		case err != nil:
			f.Silent = append(f.Silent, name+" "+dns.TypeToString[r.Header().Rrtype])
			continue
		case record.Type == dns.TypeDNSKEY:
			f.Signed = true
			continue
		case !strings.EqualFold(zone.NameOf([]byte(record.Owner)), name):
			continue
		}
		known := func(other rr.Record) bool { return other.Identity() == record.Identity() }
		if !slices.ContainsFunc(f.Records, known) {
			f.Records = append(f.Records, record)
		}
	}
}

// recordOf is a record as zones here have it.
func recordOf(r dns.RR) (rr.Record, error) {
	packet := make([]byte, dns.MaxMsgSize)
	n, err := dns.PackRR(r, packet, 0, nil, false)
	if err != nil {
		return rr.Record{}, err
	}
	record, _, _, err := rr.Unpack(packet[:n], 0)
	if err == nil {
		err = rdata.Check(record.Type, record.Data)
	}
	return record, err
}

// Transfer asks a server for a whole zone, signed where there is a key.
func Transfer(ctx context.Context, server, domain string, key *peer.Key) (records []rr.Record, err error) {
	ctx, cancel := context.WithTimeout(ctx, transferTime)
	defer cancel()
	m := new(dns.Msg).SetAxfr(dns.Fqdn(domain))
	t := &dns.Transfer{DialTimeout: askTime, ReadTimeout: askTime}
	if key != nil {
		m.SetTsig(key.Name, key.Algorithm, peer.Fudge, time.Now().Unix())
		t.TsigSecret = map[string]string{key.Name: key.Secret}
	}
	envelopes, err := t.In(m, server)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { t.Close() })()
	soa, octets := 0, 0
	for e := range envelopes {
		if e.Error != nil {
			err = e.Error
		}
		for _, r := range e.RR {
			if r.Header().Rrtype == dns.TypeSOA {
				if soa++; soa > 1 {
					continue
				}
			}
			record, wrong := recordOf(r)
			if err == nil {
				err = wrong
			}
			records = append(records, record)
			if octets += len(record.Owner) + len(record.Data) + recordOctets; octets > transferOctets {
				return nil, fmt.Errorf("the zone has more than %d octets", transferOctets)
			}
		}
	}
	if err == nil && soa < 2 {
		err = errors.New("the transfer ended early")
	}
	return records, errors.Join(err, ctx.Err())
}
