package server

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"

	"mxtrap/server/answer"
	"mxtrap/server/pace"
	"mxtrap/zone"
)

// sweeper makes the signatures that are missing, before anybody asks for them.
type sweeper struct {
	state   *answer.State
	log     *slog.Logger
	threads int
	woken   chan struct{}

	mu    sync.Mutex
	ahead []*zone.Zone // that will be served
}

// manyZones is from how many zones on the memory is given back that a sweep has taken.
const manyZones = 1000

// yieldAfter is after how many signatures, of some 40 µs each, those who answer have the processor.
const yieldAfter = 4

// newSweeper makes one that has half of the processors at most: the others answer.
func newSweeper(state *answer.State, log *slog.Logger, processors int) *sweeper {
	return &sweeper{state: state, log: log, threads: max(1, processors/2), woken: make(chan struct{}, 1)}
}

// wake says that other zones are served.
func (s *sweeper) wake() { pace.Signal(s.woken) }

// add has the signatures made of a zone that will be served.
func (s *sweeper) add(z *zone.Zone) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead = append(s.ahead, z)
	s.wake()
}

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
			zones := s.unsigned()
			if len(zones) == 0 {
				continue
			}
			pace.WhileServing(ctx, func() *struct{} { s.sweep(ctx, zones); return nil })
			if len(zones) > manyZones && len(s.woken) == 0 {
				debug.FreeOSMemory() // of a load and of what signing took; answers take none
			}
		}
	})
	return wg.Wait
}

// unsigned are the zones that lack signatures, those that are served first.
func (s *sweeper) unsigned() (zones []*zone.Zone) {
	for _, z := range s.state.Current.Load().Zones.Zones() {
		if _, left := z.Signatures(); left > 0 {
			zones = append(zones, z)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.ahead[:0]
	for _, z := range s.ahead {
		if _, left := z.Signatures(); left > 0 {
			waiting = append(waiting, z)
		}
	}
	clear(s.ahead[len(waiting):])
	s.ahead = waiting
	return append(zones, waiting...)
}

// sweep signs zones, and ends early where there are others.
func (s *sweeper) sweep(ctx context.Context, zones []*zone.Zone) {
	queue := make(chan *zone.Zone)
	var wg sync.WaitGroup
	for range s.threads {
		wg.Go(func() {
			made := 0
			for z := range queue {
				err := z.Sign(func() bool {
					if made++; made%yieldAfter == 0 {
						pace.Yield()
					}
					return ctx.Err() == nil
				})
				if err != nil {
					s.log.Error("cannot sign a zone; mxtrap answers SERVFAIL where signatures are wanted, and sends no zone transfers", "zone", z.Name(), "error", err)
				}
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
