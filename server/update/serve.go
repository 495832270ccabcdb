package update

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"mxtrap/server/answer"
	"mxtrap/server/pace"
	"mxtrap/server/peer"
	"mxtrap/zone"
	"mxtrap/zone/dname"
)

// Handler answers updates.
type Handler struct {
	State    *answer.State
	Log      *slog.Logger
	Outcomes *prometheus.CounterVec // "taken", "refused", "failed"
	// Take has a request applied to a zone, and served, before it returns. An error without a code of its own is answered with SERVFAIL.
	Take func(ctx context.Context, zone string, r *Request) error

	refusals pace.PerMinute
}

// takeTime is how long a client waits at most: one that asks over UDP asks again after some seconds.
const takeTime = 5 * time.Second

// Outcomes are the labels of [Handler.Outcomes].
var Outcomes = []string{"taken", "refused", "failed"}

// Serve answers an update.
func (h *Handler) Serve(ctx context.Context, send func(octets []byte) error, packet []byte, c answer.Client) error {
	snap := h.State.Current.Load()
	var q answer.Query
	q.Parse(packet)
	if q.Verdict == answer.NoAnswer {
		return errors.New("an answer to no question")
	}
	snap.AnswerCookie(&q, c)
	var sig *peer.Signature
	rcode, err := q.Verdict, error(nil)
	if rcode == dns.RcodeSuccess && q.Signed > 0 {
		if sig, err = peer.Verify(packet, q.Signed, snap.Access.Keys); err != nil {
			rcode = dns.RcodeFormatError
		} else {
			rcode = sig.Rcode()
		}
	}
	if rcode == dns.RcodeSuccess {
		rcode = h.take(ctx, snap, &q, sig.Verified(), c)
	}
	return send(sig.Sign(q.Reply(rcode, snap.Nsid)))
}

// take takes an update whose signature is good, or that has none.
func (h *Handler) take(ctx context.Context, snap *answer.Snapshot, q *answer.Query, by *peer.Key, c answer.Client) (rcode int) {
	name := zone.NameOf(q.Name.Wire())
	z := snap.Zones.Named(name)
	var m message
	var err error
	switch {
	case snap.Updaters == nil:
		return dns.RcodeNotImplemented
	case q.Class != dns.ClassINET || q.Type != dns.TypeSOA:
		err = errForm
	case by == nil || !snap.Updaters[by.Name]:
		err = failed(dns.RcodeRefused, "it is not signed with a key of update.allow")
	case z == nil:
		err = failed(dns.RcodeNotAuth, "no such zone is served")
	default:
		if m, err = readMessage(q, dname.Name(z.Apex())); err == nil {
			ctx, cancel := context.WithTimeout(ctx, takeTime)
			defer cancel()
			err = h.Take(ctx, name, &Request{message: m, By: by})
		}
	}
	rcode, outcome := dns.RcodeSuccess, "taken"
	var known rcodeError
	switch {
	case err == nil:
	case errors.As(err, &known):
		rcode, outcome = known.rcode, "refused"
	default:
		rcode, outcome = dns.RcodeServerFailure, "failed"
	}
	h.Outcomes.WithLabelValues(outcome).Inc()
	if err != nil && h.refusals.Allow(time.Now()) {
		h.Log.Warn("did not take a dynamic update", "zone", name, "client", c.Addr, "rcode", dns.RcodeToString[rcode], "why", err)
	}
	return rcode
}
