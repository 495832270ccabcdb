package tap

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"mxtrap/metrics"
)

// waitingMessages is how many messages are on their way to their reader; what comes beside them is lost.
const waitingMessages = 1024

// Tap copies queries and responses for one reader. Answering a query never waits for it.
type Tap struct {
	Sample  int64 // one query in this many
	lost    func()
	waiting chan *Message
	pool    sync.Pool
}

// Unread counts what a tap's reader was too slow for.
type Unread struct{ atomic.Int64 }

// Inc adds one.
func (u *Unread) Inc() { u.Add(1) }

// Message is a query and its response, empty where there is none.
type Message struct {
	Query, Response []byte
	From            netip.AddrPort
	Transport       metrics.Transport
	At              time.Time
}

// New makes a tap that copies one query in so many. Lost is called for each that finds no room.
func New(sample int64, lost func()) *Tap {
	return &Tap{Sample: sample, lost: lost, waiting: make(chan *Message, waitingMessages), pool: sync.Pool{New: func() any { return new(Message) }}}
}

// Take copies a query, before its response takes its place. It returns nil where there is no room.
func (t *Tap) Take(packet []byte, from netip.AddrPort, transport metrics.Transport) *Message {
	if len(t.waiting) == cap(t.waiting) {
		t.lost()
		return nil
	}
	m := t.pool.Get().(*Message)
	m.Query, m.From, m.Transport, m.At = append(m.Query[:0], packet...), from, transport, time.Now()
	return m
}

// Send copies the response to a query, and sends both on their way.
func (t *Tap) Send(m *Message, response []byte) {
	m.Response = append(m.Response[:0], response...)
	select {
	case t.waiting <- m:
	default:
		t.lost()
		t.release(m)
	}
}

// release gives a message's memory back, which its reader uses no more.
func (t *Tap) release(m *Message) { t.pool.Put(m) }
