package server

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"mxtrap/server/load"
	"mxtrap/server/pace"
	"mxtrap/zone"
)

const (
	// renewEvery is how often it is looked whether a zone's time has come: windows begin at whole seconds.
	renewEvery = time.Second
	// renewAgain is after how many seconds it is tried again to renew what could not be.
	renewAgain = 60
	// renewAhead is how many seconds before a window begins its signatures are made.
	renewAhead = 3600
	// renewShare is how many times longer it rests then than the last renewing took: what is due meanwhile is renewed together, and all of it
	// takes a two hundredth of one processor. Nothing suffers from some seconds of delay.
	renewShare  = 200
	longestRest = time.Minute
	// tellLost is how often, in seconds, the log says that a key is lost.
	tellLost = 3600
)

// renewals are when zones change by themselves: a window of signatures ends, a key begins or ceases to do something, or the decoys change.
type renewals struct {
	next  int64                 // when the next zone does, in seconds since 1970
	ahead int64                 // when signatures are to be made for the next window of a zone
	made  map[string]*zone.Zone // the next versions of zones, by path, for the signatures that are made already
	lost  map[string]int64      // of the zones whose keys are lost, by path, when that was told
	seen  int64                 // the time when that was looked at last
	began time.Time             // when zones were renewed last
	took  time.Duration         // and how long that took
}

// plan finds out when something has to be done.
func (r *renewals) plan(files *load.Files, now int64) {
	r.next, r.ahead = math.MaxInt64, math.MaxInt64
	told, made := r.lost, r.made
	r.lost, r.made = map[string]int64{}, map[string]*zone.Zone{}
	for f := range files.All() {
		if f.Lost != "" {
			r.lost[f.Path] = told[f.Path]
			continue
		}
		until := f.Until()
		if until <= now { // it could not be renewed
			until = now + renewAgain
		}
		r.next = min(r.next, until)
		plan := f.Zone.Plan()
		if plan == nil {
			continue
		}
		if z := made[f.Path]; z != nil { // of zones that are gone nothing is kept
			r.made[f.Path] = z
		} else if plan.Until > now {
			r.ahead = min(r.ahead, plan.Until-renewAhead)
		}
	}
}

// renew does what the time has come for.
func (s *Server) renew(ctx context.Context) {
	now := s.Clock().Unix()
	if s.renewals.seen-now > load.ClockBack { // the clock has gone back
		s.renewals.next = now
	}
	s.renewals.seen = now
	s.tellLost(now)
	if r := &s.renewals; now >= r.next && time.Since(r.began) >= min(longestRest, r.took*renewShare) {
		r.began = time.Now()
		s.renewDue(ctx, now)
		r.took = time.Since(r.began)
	}
	if now >= s.renewals.ahead {
		s.signAhead(now)
	}
}

// renewDue serves the next version of the zones whose time has come.
func (s *Server) renewDue(ctx context.Context, now int64) {
	r := &s.renewals
	var due []string
	for f := range s.files.All() {
		if f.Due(now) {
			due = append(due, f.Path)
			if z := r.made[f.Path]; z != nil && f.Zone.Plan().Until <= now {
				if _, left := z.Signatures(); left > 0 {
					s.metrics.LateWindows.Inc()
					s.Log.Warn("a window begins before all of its signatures are made; the rest is made as clients ask for it", "zone", z.Name(), "missing", left)
				}
			}
		}
	}
	o := s.loader(s.config)
	made := r.made
	if len(due) == 0 {
		r.plan(s.files, now)
		return
	}
	l := pace.WhileServing(ctx, func() *load.Loading { return o.Renew(due, made, s.files, s.refused) })
	if l == nil {
		return
	}
	s.logProblems(l.Report.Problems())
	for _, path := range due {
		if f := l.Files.Get(path); f == nil || made[path] == nil || f.Zone.Plan() == nil || made[path].Plan().Window == f.Zone.Plan().Window {
			delete(r.made, path) // what was made ahead is served
		}
	}
	if !slices.ContainsFunc(due, func(path string) bool { return l.Files.Get(path) != s.files.Get(path) }) {
		r.next = now + renewAgain
		return
	}
	s.publishRenewed(s.config, l)
	s.Log.Debug("renewed signatures or decoys", "zones", len(due))
}

// signAhead has the signatures made of windows that begin soon.
func (s *Server) signAhead(now int64) {
	r := &s.renewals
	for f := range s.files.All() {
		plan := f.Zone.Plan()
		if plan == nil || f.Lost != "" || plan.Until-renewAhead > now || r.made[f.Path] != nil {
			continue
		}
		z := f.Next()
		if z == nil {
			z = f.Zone // its records will change, so there is nothing to be made yet
		}
		r.made[f.Path] = z
		s.sweeper.add(z)
	}
	r.plan(s.files, now)
}

// tellLost says every hour which keys are lost, and how long the signatures last.
func (s *Server) tellLost(now int64) {
	for path, told := range s.renewals.lost {
		if now < told+tellLost {
			continue
		}
		s.renewals.lost[path] = now
		f := s.files.Get(path)
		left := time.Duration(f.Zone.Plan().Window.Expiration-now) * time.Second
		s.Log.Error("the key of a zone is lost; its last signatures are served until they end, and then validating resolvers refuse the zone",
			"zone", f.Zone.Name(), "left", fmt.Sprint(left.Round(time.Minute)), "why", f.Lost)
	}
}
