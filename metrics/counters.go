// Package metrics counts what the server does and shows it to Prometheus.
//
// Each goroutine that answers queries owns a [Worker] and counts into its memory alone, so that counting waits for nobody. A scrape
// adds the workers up.
package metrics

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// Transport is how a query came.
type Transport uint8

// The transports.
const (
	UDP Transport = iota
	TCP
	transports
)

var transportNames = [transports]string{"udp", "tcp"}

// Family is the address family of the client.
type Family uint8

// The families.
const (
	IPv4 Family = iota
	IPv6
	families
)

// Drop is why a query got no answer.
type Drop uint8

// The reasons.
const (
	Malformed   Drop = iota // too short for a header
	Response                // an answer, not a question
	TCPFull                 // too many connections
	TCPClient               // too many connections of one client
	Unsent                  // the answer could not be sent
	Overflow                // the kernel had no room for it: the workers are too slow
	RateLimited             // the client has had too many like it
	Fault                   // mxtrap has a fault, which ended the answer and not the process
	dropReasons
)

var dropNames = [dropReasons]string{"malformed", "response", "tcp_connections", "tcp_client_connections", "send_failed", "socket_buffer", "rate_limit", "fault"}

// queryTypes have a label of their own; all others are "other".
var queryTypes = []uint16{
	dns.TypeA, dns.TypeNS, dns.TypeCNAME, dns.TypeSOA, dns.TypePTR, dns.TypeMX, dns.TypeTXT, dns.TypeAAAA, dns.TypeSRV,
	dns.TypeNAPTR, dns.TypeDS, dns.TypeDNSKEY, dns.TypeTLSA, dns.TypeSVCB, dns.TypeHTTPS, dns.TypeANY, dns.TypeCAA,
}

const maxTypes = 32

// typeIndex finds the place of a type among queryTypes, len(queryTypes) for all others.
var typeIndex = func() (t [512]uint8) {
	for i := range t {
		t[i] = uint8(len(queryTypes))
	}
	for i, q := range queryTypes {
		t[q] = uint8(i)
	}
	return t
}()

const maxRcode = 24 // more than there are extended ones in use

// buckets are the upper bounds of the duration histogram.
var buckets = [...]time.Duration{
	time.Microsecond, 2 * time.Microsecond, 5 * time.Microsecond, 10 * time.Microsecond, 20 * time.Microsecond, 50 * time.Microsecond,
	100 * time.Microsecond, 200 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond,
	10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond,
}

// sizeBuckets are the upper bounds of the histogram of response sizes, in octets: 512 is what fits without EDNS, and 1232 what UDP carries.
var sizeBuckets = [...]int{64, 128, 256, 512, 1232, 4096, 16384}

// Sizes are those of responses, which one goroutine adds up before they are counted together.
type Sizes struct {
	buckets [len(sizeBuckets) + 1]uint32
	octets  uint64
}

// Add notes a response.
func (s *Sizes) Add(octets int) {
	i := 0
	for i < len(sizeBuckets) && octets > sizeBuckets[i] {
		i++
	}
	s.buckets[i]++
	s.octets += uint64(octets)
}

// Worker is the counters of one goroutine. All of its methods are safe for others too, only slower.
type Worker struct {
	queries   [transports][families][maxTypes]atomic.Uint64
	responses [maxRcode]atomic.Uint64
	truncated atomic.Uint64
	slipped   atomic.Uint64
	dropped   [dropReasons]atomic.Uint64
	durations [len(buckets) + 1]atomic.Uint64
	nanos     atomic.Uint64
	sizes     [transports][len(sizeBuckets) + 1]atomic.Uint64
	octets    [transports]atomic.Uint64
	series    [maxChunks]atomic.Pointer[chunk]
	_         [64]byte // keeps the next worker's counters off this one's cache line
}

// Query counts a query that is to be answered.
func (w *Worker) Query(t Transport, f Family, qtype uint16) {
	i := uint8(len(queryTypes))
	if int(qtype) < len(typeIndex) {
		i = typeIndex[qtype]
	}
	w.queries[t][f][i].Add(1)
}

// Response counts an answer.
func (w *Worker) Response(rcode int, truncated bool) {
	w.responses[min(rcode, maxRcode-1)].Add(1)
	if truncated {
		w.truncated.Add(1)
	}
}

// Sized counts the sizes of responses, which begin at nothing again.
func (w *Worker) Sized(t Transport, s *Sizes) {
	for i, n := range s.buckets {
		if n > 0 {
			w.sizes[t][i].Add(uint64(n))
		}
	}
	w.octets[t].Add(s.octets)
	*s = Sizes{}
}

// Slipped counts a response that was sent empty because of its rate.
func (w *Worker) Slipped() { w.slipped.Add(1) }

// Dropped counts a query that gets no answer.
func (w *Worker) Dropped(why Drop) { w.dropped[why].Add(1) }

// DroppedMany is Dropped for so many.
func (w *Worker) DroppedMany(why Drop, n uint64) {
	if n > 0 {
		w.dropped[why].Add(n)
	}
}

// Took notes how long so many answers took that came and went together.
func (w *Worker) Took(d time.Duration, answers int) {
	i := 0
	for i < len(buckets) && d > buckets[i] {
		i++
	}
	w.durations[i].Add(uint64(answers))
	w.nanos.Add(uint64(d) * uint64(answers))
}

// Series is a run of counters that were reserved under a key.
type Series uint32

const (
	chunkBits = 12
	maxChunks = 1 << 12 // 16 million counters
)

type chunk [1 << chunkBits]atomic.Uint64

// Add counts the n-th counter of a series up.
func (w *Worker) Add(s Series, n int) { w.at(s, n).Add(1) }

func (w *Worker) at(s Series, n int) *atomic.Uint64 {
	i := uint32(s) + uint32(n)
	return &w.series[i>>chunkBits].Load()[i&(1<<chunkBits-1)]
}

// Counters are all workers' counters.
type Counters struct {
	workers []*Worker

	mu       sync.Mutex
	reserved map[string]reserved
	free     map[int][]Series // those that were given back, by how many counters they have
	next     uint32
	round    int // goes up with [Counters.Release]
}

// reserved is the counters of a key.
type reserved struct {
	series   Series
	counters int
	round    int // in which they were asked for last
}

// newCounters makes the counters of so many workers.
func newCounters(workers int) *Counters {
	c := &Counters{reserved: map[string]reserved{}, free: map[int][]Series{}}
	for range workers {
		c.workers = append(c.workers, new(Worker))
	}
	return c
}

// Worker is the i-th worker's.
func (c *Counters) Worker(i int) *Worker { return c.workers[i] }

// Reserve gives a key its counters, the same ones whenever it is asked for again. It must have returned before a worker uses them.
// Where all counters are taken, the last ones are shared.
func (c *Counters) Reserve(key string, counters int) Series {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.reserved[key]
	if !ok {
		if r, ok = c.find(counters); !ok {
			return Series(c.next - uint32(counters))
		}
	}
	r.round = c.round
	c.reserved[key] = r
	return r.series
}

// find finds counters that nobody has.
func (c *Counters) find(counters int) (r reserved, ok bool) {
	if free := c.free[counters]; len(free) > 0 {
		last := len(free) - 1
		c.free[counters] = free[:last]
		return reserved{series: free[last], counters: counters}, true
	}
	if int(c.next)+counters > maxChunks<<chunkBits {
		return r, false
	}
	s := Series(c.next)
	c.next += uint32(counters)
	for i := uint32(s) >> chunkBits; i <= c.next>>chunkBits && i < maxChunks; i++ {
		for _, w := range c.workers {
			if w.series[i].Load() == nil {
				w.series[i].Store(new(chunk))
			}
		}
	}
	return reserved{series: s, counters: counters}, true
}

// Release takes counters back whose keys were not asked for since the call before the last: by then no worker counts there any more. They
// begin at zero again.
func (c *Counters) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, r := range c.reserved {
		if r.round >= c.round-1 {
			continue
		}
		delete(c.reserved, key)
		for n := range r.counters {
			for _, w := range c.workers {
				w.at(r.series, n).Store(0)
			}
		}
		c.free[r.counters] = append(c.free[r.counters], r.series)
	}
	c.round++
}

// Total is the n-th counter of a series.
func (c *Counters) Total(s Series, n int) uint64 { return c.sumOf(s, n) }

// sumOf is the n-th counter of a series over all workers.
func (c *Counters) sumOf(s Series, n int) uint64 {
	return c.sum(func(w *Worker) *atomic.Uint64 { return w.at(s, n) })
}

func (c *Counters) sum(of func(*Worker) *atomic.Uint64) uint64 {
	total := uint64(0)
	for _, w := range c.workers {
		total += of(w).Load()
	}
	return total
}

// Queries is how many queries there were.
func (c *Counters) Queries() (total uint64) {
	for t := range transports {
		for f := range families {
			for i := range len(queryTypes) + 1 {
				total += c.sum(func(w *Worker) *atomic.Uint64 { return &w.queries[t][f][i] })
			}
		}
	}
	return total
}

// Workers is how many workers there are.
func (c *Counters) Workers() int { return len(c.workers) }
