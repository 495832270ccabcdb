package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"mxtrap/server/answer"
	"mxtrap/server/control"
	"mxtrap/server/tap"
	"mxtrap/zone/dname"
)

// setTap has queries copied to a tap from now on, or to none any more.
func (s *Server) setTap(which int, t *tap.Tap) {
	s.state.Current.Store(s.state.Current.Load().WithTap(which, t))
}

// queryLog logs a sample of the queries.
type queryLog struct {
	sample int64 // one in so many; 0: none is logged
	stop   func()
}

// logQueries logs one query in so many from now on; 0: none.
func (s *Server) logQueries(sample int64) {
	q := &s.queryLog
	if q.sample == sample {
		return
	}
	if q.stop != nil {
		q.stop()
	}
	q.sample, q.stop = sample, nil
	if sample == 0 {
		s.setTap(answer.TapLog, nil)
		return
	}
	unread := new(tap.Unread)
	t := tap.New(sample, unread.Inc)
	ctx, cancel := context.WithCancel(s.ctx)
	var running sync.WaitGroup
	running.Go(func() { tap.LogQueries(ctx, t, unread, s.Log) })
	q.stop = func() {
		cancel()
		running.Wait()
	}
	s.setTap(answer.TapLog, t)
}

// topTime bounds how long queries are watched at a time.
const topTime = time.Minute

// top watches queries for a time.
func (s *Server) top(ctx context.Context, during time.Duration, most int) (*control.Top, error) {
	if during <= 0 || during > topTime || most < 0 {
		return nil, errors.New("watch for more than nothing and for a minute at most, and list no less than nothing")
	}
	select { // one at a time has the tap
	case s.topping <- struct{}{}:
		defer func() { <-s.topping }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	t := tap.New(1, func() {})
	set := func(ctx context.Context, t *tap.Tap) error {
		_, err := within(ctx, s, func() (struct{}, error) { s.setTap(answer.TapTop, t); return struct{}{}, nil })
		return err
	}
	began, before := time.Now(), s.metrics.Queries() // before the first is copied
	if err := set(ctx, t); err != nil {
		return nil, err
	}
	defer set(s.ctx, nil)
	watching, cancel := context.WithTimeout(ctx, during)
	defer cancel()
	seen := tap.Watch(watching, t, s.placeOf(), most)
	top := &control.Top{Seconds: time.Since(began).Seconds(), Queries: s.metrics.Queries() - before, Top: *seen}
	return top, ctx.Err()
}

// placeOf says of names to which zone they belong, of those that are served now, and whether they are decoys.
func (s *Server) placeOf() tap.Place {
	set := s.state.Current.Load().Zones
	decoys := map[int]map[int]bool{} // by the index of a zone and of a host in it
	return func(name string, qtype uint16) (string, bool) {
		wire, err := dname.Parse(name+".", dname.Root)
		if name == "." || err != nil {
			return "", false
		}
		q := set.Ask(wire, qtype)
		if q.Zone < 0 {
			return "", false
		}
		z := set.Zones()[q.Zone]
		if q.Answer.Host > 0 && decoys[q.Zone] == nil {
			decoys[q.Zone] = map[int]bool{}
			for i, h := range z.Hosts() {
				decoys[q.Zone][i+1] = h.Decoy
			}
		}
		return z.Name(), decoys[q.Zone][q.Answer.Host]
	}
}
