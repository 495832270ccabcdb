package mail

import "slices"

// Shares are where a sender's connections go, in parts of one. What is missing to one is mail that waits in the sender's queue, because
// every host that he would try is down.
type Shares struct {
	Primary  float64 `json:"primary"`
	Fallback float64 `json:"fallback"`
	Decoys   float64 `json:"decoys"`
	Waits    float64 `json:"waits"`
}

// Sender is a kind of sender.
type Sender struct {
	Name   string `json:"sender"`
	Honest bool   `json:"honest"`
	// Choose returns the exchanges among which the sender takes one by chance, for his first connection that comes to a host.
	Choose func(d *Domain) []Exchange `json:"-"`
}

// Senders are the kinds of sender, honest ones first.
var Senders = []Sender{
	{"RFC 5321, all hosts up", true, func(d *Domain) []Exchange { return d.firstUp(nil) }},
	{"RFC 5321, primary down", true, func(d *Domain) []Exchange { return d.firstUp(d.with(Primary)) }},
	{"RFC 5321, all real hosts down", true, func(d *Domain) []Exchange { return d.firstUp(d.with(Primary, Fallback)) }},
	{"bot: highest number", false, highest},
	{"bot: last in the answer", false, func(d *Domain) []Exchange { return d.Exchanges[len(d.Exchanges)-1:] }},
	{"bot: any host", false, func(d *Domain) []Exchange { return d.Exchanges }},
	{"bot: lowest number only", false, func(d *Domain) []Exchange { return d.with(Primary) }},
	{"bot: second host", false, second},
	{"bot: any but the lowest", false, func(d *Domain) []Exchange { return d.with(Fallback, Decoy) }},
	{"savvy bot: highest name but the primary's", false, savvyByName},
	{"savvy bot: highest address but the primary's", false, savvyByAddress},
}

// Simulate tells where the sender's connections go.
func (s Sender) Simulate(d *Domain) Shares {
	chosen := s.Choose(d)
	if len(chosen) == 0 {
		return Shares{Waits: 1}
	}
	var shares Shares
	part := 1 / float64(len(chosen))
	for _, e := range chosen {
		switch e.Role {
		case Primary:
			shares.Primary += part
		case Fallback:
			shares.Fallback += part
		case Decoy:
			shares.Decoys += part
		}
	}
	return shares
}

// firstUp is what a sender comes to who tries all hosts by preference (RFC 5321 5.1). A decoy that leads to a host that is down is down.
func (d *Domain) firstUp(down []Exchange) []Exchange {
	for _, rank := range d.ranks() {
		up := slices.DeleteFunc(slices.Clone(rank), func(e Exchange) bool { return e.sharesAny(down) })
		if len(up) > 0 {
			return up
		}
	}
	return nil
}

func highest(d *Domain) []Exchange {
	ranks := d.ranks()
	return ranks[len(ranks)-1]
}

// second takes the second of the hosts in order; among those of one number the order is chance.
func second(d *Domain) []Exchange {
	ranks := d.ranks()
	if len(ranks[0]) > 1 || len(ranks) == 1 {
		return ranks[0]
	}
	return ranks[1]
}

func savvyByName(d *Domain) []Exchange {
	primaries := d.with(Primary)
	return d.highestBut(func(e Exchange) bool {
		return slices.ContainsFunc(primaries, func(p Exchange) bool { return p.Host == e.Host })
	})
}

func savvyByAddress(d *Domain) []Exchange {
	primaries := d.with(Primary)
	return d.highestBut(func(e Exchange) bool { return e.sharesAny(primaries) })
}

// highestBut are the exchanges with the highest number among those that are not seen through; where all are, the primary.
func (d *Domain) highestBut(seenThrough func(Exchange) bool) []Exchange {
	left := &Domain{Exchanges: slices.DeleteFunc(slices.Clone(d.Exchanges), seenThrough)}
	if len(left.Exchanges) == 0 {
		return d.with(Primary)
	}
	return highest(left)
}
