package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/miekg/dns"

	"mxtrap/server/control"
	"mxtrap/server/load"
	"mxtrap/server/pace"
	"mxtrap/server/socket"
	"mxtrap/server/state"
	"mxtrap/server/update"
	"mxtrap/zone"
	"mxtrap/zone/dname"
	"mxtrap/zone/rdata"
	"mxtrap/zone/source"
)

// updateHandler answers dynamic updates.
func (s *Server) updateHandler() socket.Handler {
	h := &update.Handler{State: &s.state, Log: s.Log, Outcomes: s.metrics.Updates, Take: func(ctx context.Context, zone string, r *update.Request) error {
		_, err := within(ctx, s, func() (struct{}, error) { return struct{}{}, s.takeUpdate(zone, r) })
		return err
	}}
	return h.Serve
}

// takeUpdate serves a zone as an update wants it.
func (s *Server) takeUpdate(name string, r *update.Request) error {
	f, err := s.named(name)
	if err != nil {
		return update.NotAuth(err)
	}
	owners, set := r.Owners(), s.state.Current.Load().Zones
	for owner := range owners {
		if !answers(set, f.Zone, owner) {
			return update.NotZone(fmt.Errorf("%s is not answered by the zone, but by one below it", owner))
		}
	}
	changed, err := s.serveUpdated(func(o load.Loader) (changed []source.RRset, l *load.Loading, err error) {
		l, err = o.Update(f, func(z *source.Zone) ([]source.RRset, error) {
			var served []source.RRset
			for _, records := range f.Zone.RRsetsOf(owners) {
				served = append(served, source.RRset{Owner: dname.Name(records[0].Owner), Type: records[0].Type, Records: records})
			}
			changed, err = r.Apply(&s.config.updates, z.RRsets(owners), served)
			return changed, err
		}, s.files, s.refused)
		return changed, l, err
	})
	switch {
	case errors.Is(err, load.ErrBeyond), errors.Is(err, load.ErrUnfit), errors.Is(err, load.ErrMany), errors.Is(err, load.ErrElsewhere):
		return update.Refused(err)
	case err != nil:
		return err
	}
	s.Log.Info("took a dynamic update", "zone", f.Zone.Name(), "serial", s.state.Current.Load().Zones.Named(f.Zone.Name()).Serial(), "key", r.By.Name, "changed", source.NamesOf(changed))
	return nil
}

// answers says whether a zone answers for a name itself.
func answers(set *zone.Set, z *zone.Zone, name dname.Name) bool {
	q := set.Ask(name, dns.TypeTXT)
	return q.Zone >= 0 && set.Zones()[q.Zone] == z && q.Answer.Authoritative
}

// serveUpdated serves what came of an update, if anything has, and returns what has changed. One that the server's end overtakes was not taken.
func (s *Server) serveUpdated(make func(o load.Loader) (changed []source.RRset, l *load.Loading, err error)) ([]source.RRset, error) {
	type outcome struct {
		changed []source.RRset
		l       *load.Loading
		err     error
	}
	o := s.loader(s.config)
	came := pace.WhileServing(s.ctx, func() *outcome {
		var out outcome
		out.changed, out.l, out.err = make(o)
		return &out
	})
	switch {
	case came == nil:
		return nil, s.ctx.Err()
	case came.err == nil && came.l != nil:
		s.logProblems(came.l.Report.Problems())
		s.publish(s.config, came.l)
	}
	return came.changed, came.err
}

// dropUpdates makes the RRsets of a name again what the files of its zone say.
func (s *Server) dropUpdates(of, name string) error {
	f, err := s.named(of)
	if err != nil {
		return err
	}
	apex := dname.Name(f.Zone.Apex())
	owner, err := dname.Parse(name, dname.Root)
	if err == nil && !owner.Within(apex) {
		owner, err = dname.Parse(name, apex)
	}
	if err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	_, err = s.serveUpdated(func(o load.Loader) ([]source.RRset, *load.Loading, error) {
		l, err := o.DropUpdates(f, owner, s.files, s.refused)
		return nil, l, err
	})
	return err
}

// updatesOf are the RRsets of a zone that updates have made, as the operator is shown them.
func updatesOf(f *load.File) (list []control.Updated) {
	kept, unserved := f.Updates()
	for _, set := range kept {
		u := control.Updated{Name: set.Owner.String(), Type: rdata.TypeText(set.Type), Records: []string{}, Served: !source.Has(unserved, set.Owner, set.Type)}
		for _, r := range set.Records {
			u.Records = append(u.Records, string(rdata.Append(nil, r.Type, r.Data)))
		}
		list = append(list, u)
	}
	return list
}

// updatesIn are the updates that are kept in a folder of state: those before, where that is the same.
func (s *Server) updatesIn(folder string) *state.Updates {
	if !s.updates.In(folder) {
		s.updates = state.NewUpdates(folder)
	}
	return s.updates
}
