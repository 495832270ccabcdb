package server

import (
	"cmp"
	"context"
	"errors"
	"time"

	"mxtrap/metrics"
	"mxtrap/server/control"
	"mxtrap/server/judge"
	"mxtrap/server/share"
)

// joinFleet has facts and list shared, where the configuration says so.
func (s *Server) joinFleet(c *Config) {
	if !c.share.On() {
		return
	}
	s.fleet = share.New(c.share, share.Here{
		Book: s.keeper.Book, Senses: c.list.Senses(), Lists: s.keeper.Lists, Ready: func() bool { return s.keeper.Unread() == nil },
		Unwell: s.catcher.watch.Unwell, Clock: s.Clock, State: c.state, Log: s.Log,
	}, cmp.Or(s.Share, share.RealTime))
	s.keeper.Fleet = s.fleet.Listed
	s.metrics.Share = func() metrics.Share {
		now := s.fleet.Status()
		shown := metrics.Share{Answers: now.Answers, Waiting: now.Waiting}
		for _, n := range now.Nodes {
			if shown.Nodes++; n.Silent {
				shown.Silent++
			}
		}
		return shown
	}
}

// fleetChanged is what receives when others have said something new; nil: there are none.
func (s *Server) fleetChanged() <-chan struct{} {
	if s.fleet == nil {
		return nil
	}
	return s.fleet.Changed
}

// runFleet takes part in the fleet. The function that it returns waits for the end of that, which comes with the context's.
func (s *Server) runFleet(ctx context.Context) (wait func()) {
	if s.fleet == nil {
		return func() {}
	}
	s.Log.Info("sharing what is seen with other servers", "store", s.config.share.Where(), "node", s.config.share.Node)
	return s.fleet.Run(ctx)
}

// listNowFor is who is listed, for the operator: what all servers agree on, or else what this one makes of what it knows.
func (s *Server) listNowFor() (*control.List, error) {
	if err := s.keeper.Unread(); err != nil {
		return nil, err
	}
	lists := s.keeper.Lists()
	entries, ok := s.keeper.Entries(s.Clock().Unix(), lists)
	if !ok {
		return nil, errors.New("the list of the fleet has not been read yet; ask again in a moment")
	}
	return &control.List{Lists: lists, Clients: append([]judge.Entry{}, entries...)}, nil
}

// errNoShare is the error of a server that shares nothing.
var errNoShare = errors.New("the server shares nothing: [share] is not set in its server file")

func (s *Server) shareStatus() (*share.Status, error) {
	if s.fleet == nil {
		return nil, errNoShare
	}
	return s.fleet.Status(), nil
}

// forgetTime is how long it may take to forget a server.
const forgetTime = 5 * time.Second

func (s *Server) forgetNode(ctx context.Context, node string) error {
	if s.fleet == nil {
		return errNoShare
	}
	ctx, cancel := context.WithTimeout(ctx, forgetTime)
	defer cancel()
	return s.fleet.Forget(ctx, node)
}
