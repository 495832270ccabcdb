package resolve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"mxtrap/metrics"
	"mxtrap/server/pace"
	"mxtrap/server/peer"
	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/trap"
)

// Times of look-ups.
const (
	minRefresh   = 30 * time.Second // however short the TTL is
	maxRefresh   = 24 * time.Hour
	firstRetry   = 5 * time.Second // while there is no answer yet
	lookupWait   = 2 * time.Second // for one answer of one resolver
	lookupsAtime = 8               // at the same time
)

// Bounds of an answer: what a resolver says is served, and each address is a record of the cover and of its decoys.
const (
	mostAliases   = 16 // that a host's name leads through
	mostAddresses = 32 // of one family
)

// Resolver looks the addresses of hosts outside the zones up and keeps them fresh. The last good answer stays until there is a
// better one.
type Resolver struct {
	metrics *metrics.Metrics
	log     *slog.Logger
	wake    chan struct{} // something is wanted anew
	changed chan struct{} // some address is new
	ended   chan struct{}

	LeastWait, FirstRetry time.Duration

	mu      sync.Mutex
	servers []string // host:port; empty: those of /etc/resolv.conf
	hosts   map[string]*lookedUp
}

// lookedUp is what is known of a host.
type lookedUp struct {
	addrs []netip.Addr // nil before the first answer
	due   time.Time    // of the next look-up
	err   error        // why the last one failed
}

// New makes a Resolver that asks these servers, or those of /etc/resolv.conf where there are none.
func New(servers []string, m *metrics.Metrics, log *slog.Logger) *Resolver {
	return &Resolver{
		metrics: m, log: log, servers: servers, hosts: map[string]*lookedUp{},
		LeastWait: minRefresh, FirstRetry: firstRetry,
		wake: make(chan struct{}, 1), changed: make(chan struct{}, 1), ended: make(chan struct{}),
	}
}

// ServersOf reads the key "resolver" of the table [server]: host:port each.
func ServersOf(t *conf.Table) (servers []string) {
	for _, item := range t.Strings("resolver") {
		addr, err := parseResolver(item.Text)
		if err != nil {
			item.Fault(err.Error())
			continue
		}
		servers = append(servers, addr)
	}
	return servers
}

// parseResolver reads an address with or without a port.
func parseResolver(s string) (string, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a, 53).String(), nil
	}
	if a, err := netip.ParseAddrPort(s); err == nil {
		return a.String(), nil
	}
	return "", fmt.Errorf(`not an address: write "192.0.2.1" or "192.0.2.1:53"`)
}

// Known tells the addresses of a host, nil before the first answer.
func (r *Resolver) Known(host string) []netip.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.hosts[host]; h != nil {
		return h.addrs
	}
	return nil
}

// Want says which hosts are to be kept fresh; others are forgotten.
func (r *Resolver) Want(hosts []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.hosts
	r.hosts = map[string]*lookedUp{}
	for _, host := range hosts {
		if r.hosts[host] = before[host]; r.hosts[host] == nil {
			r.hosts[host] = &lookedUp{}
		}
	}
	r.showWaiting()
	pace.Signal(r.wake)
}

// Use changes the resolvers that are asked.
func (r *Resolver) Use(servers []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.servers = servers
}

// Servers are the resolvers that are asked; none: those of /etc/resolv.conf.
func (r *Resolver) Servers() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.servers
}

func (r *Resolver) showWaiting() {
	waiting := 0
	for _, h := range r.hosts {
		if h.addrs == nil {
			waiting++
		}
	}
	r.metrics.CoversWaiting.Set(float64(waiting))
}

// Run looks up what is due until the context ends. It returns a channel that tells when addresses have changed.
func (r *Resolver) Run(ctx context.Context) <-chan struct{} {
	go func() {
		defer close(r.ended)
		for ctx.Err() == nil {
			if r.LookUp(ctx, r.due(time.Now())) {
				pace.Signal(r.changed)
			}
			timer := time.NewTimer(time.Until(r.nextDue()))
			select {
			case <-ctx.Done():
			case <-r.wake:
			case <-timer.C:
			}
			timer.Stop()
		}
	}()
	return r.changed
}

// Wait waits for run to end.
func (r *Resolver) Wait() { <-r.ended }

func (r *Resolver) due(now time.Time) (hosts []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for host, h := range r.hosts {
		if !h.due.After(now) {
			hosts = append(hosts, host)
		}
	}
	slices.Sort(hosts)
	return hosts
}

func (r *Resolver) nextDue() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := time.Now().Add(maxRefresh)
	for _, h := range r.hosts {
		if h.due.Before(next) {
			next = h.due
		}
	}
	return next
}

// LookUp looks hosts up, a few at a time, and says whether an address has changed.
func (r *Resolver) LookUp(ctx context.Context, hosts []string) (changed bool) {
	var wg sync.WaitGroup
	places := make(chan struct{}, lookupsAtime)
	news := make([]bool, len(hosts))
	for i, host := range hosts {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			addrs, ttl, err := r.ask(ctx, host)
			news[i] = ctx.Err() == nil && r.Learn(host, addrs, ttl, err)
		})
	}
	wg.Wait()
	return slices.Contains(news, true)
}

// Learn takes the outcome of a look-up in, and says whether it is news.
func (r *Resolver) Learn(host string, addrs []netip.Addr, ttl time.Duration, err error) (news bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.hosts[host]
	if h == nil {
		return false // no longer wanted
	}
	h.err = err
	switch {
	case err != nil && h.addrs == nil:
		r.metrics.LookupFailures.Inc()
		h.due = time.Now().Add(r.FirstRetry)
		r.log.Warn("cannot look up a host outside the zones; its exchange is served as written and has no decoys", "host", host, "error", err)
		return false
	case err != nil:
		r.metrics.LookupFailures.Inc()
		h.due = time.Now().Add(r.LeastWait)
		r.log.Warn("cannot look up a host outside the zones; keeping its last good addresses", "host", host, "error", err)
		return false
	}
	h.due = time.Now().Add(min(max(ttl, r.LeastWait), maxRefresh))
	if slices.Equal(h.addrs, addrs) {
		return false
	}
	h.addrs = addrs
	r.showWaiting()
	r.log.Info("looked up", "host", host, "addresses", fmt.Sprint(addrs))
	return true
}

// ask asks the resolvers in turn for the addresses of a host. Both families must be answered, if only with nothing: half an answer
// would take a family away.
func (r *Resolver) ask(ctx context.Context, host string) (addrs []netip.Addr, ttl time.Duration, err error) {
	r.mu.Lock()
	servers, err := OrSystem(r.servers)
	r.mu.Unlock()
	for _, server := range servers {
		ttl, addrs = maxRefresh, nil
		for _, typ := range []uint16{dns.TypeA, dns.TypeAAAA} {
			var reply *dns.Msg
			if reply, err = exchange(ctx, server, host, typ); err == nil {
				err = takeAddresses(reply, typ, &addrs, &ttl)
			}
			if err != nil {
				break
			}
		}
		if err == nil && len(addrs) == 0 {
			err = errors.New("it has no address")
		}
		if err == nil {
			slices.SortFunc(addrs, netip.Addr.Compare)
			return slices.Compact(addrs), ttl, nil
		}
	}
	return nil, 0, err
}

// OrSystem are some name servers, or those of the system where there are none.
func OrSystem(servers []string) ([]string, error) {
	if len(servers) == 0 {
		system, err := dns.ClientConfigFromFile("/etc/resolv.conf")
		if err != nil {
			return nil, err
		}
		for _, s := range system.Servers {
			servers = append(servers, net.JoinHostPort(s, system.Port))
		}
	}
	if len(servers) == 0 {
		return nil, errors.New("no resolver is configured")
	}
	return servers, nil
}

// exchange asks one resolver one question, over TCP where UDP does not carry the answer.
func exchange(ctx context.Context, server, host string, typ uint16) (*dns.Msg, error) {
	m := new(dns.Msg).SetQuestion(dns.Fqdn(host), typ)
	m.SetEdns0(zone.MaxUDP, false)
	reply, err := peer.Ask(ctx, "udp", server, m, lookupWait)
	if err == nil && reply.Truncated {
		reply, err = peer.Ask(ctx, "tcp", server, m, lookupWait)
	}
	if err != nil {
		return nil, err
	}
	if reply.Rcode != dns.RcodeSuccess {
		return nil, fmt.Errorf("%s answers %s", server, dns.RcodeToString[reply.Rcode])
	}
	if len(reply.Question) != 1 || !strings.EqualFold(reply.Question[0].Name, m.Question[0].Name) || reply.Question[0].Qtype != typ {
		return nil, fmt.Errorf("%s answers another question", server)
	}
	return reply, nil
}

// takeAddresses takes the addresses of an answer that stand under the name that was asked, or under what that is an alias of. One that
// no host in the Internet can have is an error: such answers come from a resolver that sees another world, or that filters.
func takeAddresses(reply *dns.Msg, typ uint16, addrs *[]netip.Addr, ttl *time.Duration) error {
	name := reply.Question[0].Name
	for range mostAliases {
		i := slices.IndexFunc(reply.Answer, func(rr dns.RR) bool {
			return rr.Header().Rrtype == dns.TypeCNAME && strings.EqualFold(rr.Header().Name, name)
		})
		if i < 0 {
			break
		}
		alias := reply.Answer[i].(*dns.CNAME)
		name, *ttl = alias.Target, min(*ttl, time.Duration(alias.Hdr.Ttl)*time.Second)
	}
	found := 0
	for _, rr := range reply.Answer {
		var ip net.IP
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A
		case *dns.AAAA:
			ip = rr.AAAA
		}
		a, ok := netip.AddrFromSlice(ip)
		if !ok || rr.Header().Rrtype != typ || rr.Header().Class != dns.ClassINET || !strings.EqualFold(rr.Header().Name, name) {
			continue
		}
		if typ == dns.TypeA {
			a = a.Unmap()
		}
		if !trap.MayBeHost(a) {
			return fmt.Errorf("%s is not globally routable; the resolver filters, or sees other addresses than mail senders do", a)
		}
		if found++; found > mostAddresses {
			return fmt.Errorf("it has more than %d addresses of a family", mostAddresses)
		}
		*addrs = append(*addrs, a)
		*ttl = min(*ttl, time.Duration(rr.Header().Ttl)*time.Second)
	}
	return nil
}

// Unknown are the hosts that have no address yet, and why.
func (r *Resolver) Unknown() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	hosts := map[string]string{}
	for host, h := range r.hosts {
		if h.addrs == nil && h.err != nil {
			hosts[host] = h.err.Error()
		}
	}
	return hosts
}
