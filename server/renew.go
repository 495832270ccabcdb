package server

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"mxtrap/server/answer"
	"mxtrap/server/load"
	"mxtrap/server/pace"
	"mxtrap/zone"
)

const (
	// renewEvery is how often it is looked whether a zone's time has come: windows begin at whole seconds.
	renewEvery = time.Second
	// renewAgain is after how many seconds it is tried again to renew what could not be.
	renewAgain = 60
)

// firstRenewal is when a signed zone changes next by itself: its window ends, or one of its keys begins or ceases to do something.
func (s *Server) firstRenewal(now int64) (at int64) {
	at = math.MaxInt64
	for f := range s.files.All() {
		if plan := f.Zone.Plan(); plan != nil && f.Lost == "" {
			until := plan.Until
			if until <= now { // it could not be renewed
				until = now + renewAgain
			}
			at = min(at, until)
		}
	}
	return at
}

// renew serves the next version of the signed zones whose time has come.
func (s *Server) renew(ctx context.Context) {
	now := s.Clock().Unix()
	if now < s.nextRenewal {
		return
	}
	var due []string
	for f := range s.files.All() {
		if plan := f.Zone.Plan(); plan != nil && f.Lost == "" && plan.Until <= now {
			due = append(due, f.Path)
		}
	}
	o := s.loader(s.config)
	l := pace.WhileServing(ctx, func() *load.Loading { return o.Renew(due, s.files, s.refused) })
	if l == nil {
		return
	}
	s.logProblems(l.Report.Problems())
	if !slices.ContainsFunc(due, func(path string) bool { return l.Files.Get(path) != s.files.Get(path) }) {
		s.nextRenewal = now + renewAgain
		return
	}
	s.publish(s.config, l)
	s.Log.Debug("renewed signatures", "zones", len(due))
}

// sweeper makes the signatures that are missing, before anybody asks for them.
type sweeper struct {
	state   *answer.State
	threads int
	woken   chan struct{}
}

// newSweeper makes one that has half of the processors at most: the others answer.
func newSweeper(state *answer.State, processors int) *sweeper {
	return &sweeper{state: state, threads: max(1, processors/2), woken: make(chan struct{}, 1)}
}

// wake says that there are other zones.
func (s *sweeper) wake() { pace.Signal(s.woken) }

// run sweeps until the context ends. The function that it returns waits for that.
func (s *sweeper) run(ctx context.Context) (wait func()) {
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-s.woken:
			}
			if zones := s.unsigned(); len(zones) > 0 {
				pace.WhileServing(ctx, func() *struct{} { s.sweep(ctx, zones); return nil })
			}
		}
	})
	return wg.Wait
}

// unsigned are the served zones that lack signatures.
func (s *sweeper) unsigned() (zones []*zone.Zone) {
	for _, z := range s.state.Current.Load().Zones.Zones() {
		if _, left := z.Signatures(); left > 0 {
			zones = append(zones, z)
		}
	}
	return zones
}

// sweep signs zones, and ends early where there are others.
func (s *sweeper) sweep(ctx context.Context, zones []*zone.Zone) {
	queue := make(chan *zone.Zone)
	var wg sync.WaitGroup
	for range s.threads {
		wg.Go(func() {
			for z := range queue {
				z.Sign(func() bool {
					pace.Yield()
					return ctx.Err() == nil
				})
			}
		})
	}
	defer wg.Wait()
	defer close(queue)
	for _, z := range zones {
		if len(s.woken) > 0 || ctx.Err() != nil {
			return
		}
		queue <- z
	}
}
