// Package demo shows on loopback what mxtrap is for: a trapped domain with its real mail hosts and its catch, honest senders, bots, and an
// outage in the middle, all of them real programs that speak DNS and SMTP with each other. Only the clock is wound up: it runs an hour and a
// half in a minute.
//
// demo.go tells the story. host.go is a real mail host, sender.go somebody who sends, stage.go all that they stand on.
//
// It is a check too: it fails where an honest sender was listed, or lost a message.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"text/tabwriter"
	"time"

	"mxtrap/zone/mail"
)

// story is how long the story lasts by its own clock.
const story = 90 * time.Minute

// Run plays the story in so much time, and tells it.
func Run(ctx context.Context, lasts time.Duration, out io.Writer) error {
	s, err := newStage(ctx, story/lasts, out)
	if ctx.Err() != nil {
		return nil // the operator has had enough
	} else if err != nil {
		return err
	}
	defer s.close()
	fmt.Fprintf(out, "%s has two real mail hosts, and two decoys with higher numbers, where the catch of mxtrap stands:\n\n", domain)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, e := range s.domain.Exchanges {
		fmt.Fprintf(w, "    MX %d\t%s\t%s\t%s\n", e.Preference, e.Host, e.Addresses[0], e.Role)
	}
	w.Flush()
	fmt.Fprintf(out, "\nThe real hosts ask the DNSBL %s about each client. An hour and a half passes in %v.\n\n", dnsbl, lasts)
	return s.play()
}

// cast is who is in the story. Each bot has a network of its own.
type cast struct {
	news, friend, shop      *sender
	large, large2, neighbor *sender
	eager, rented           *sender
	bots                    []*sender // those of simulate
}

func newCast() *cast {
	honest := func(what, domain string, network, host byte) *sender {
		return &sender{what: what, honest: true, from: address(network, host), domain: domain}
	}
	return &cast{
		news: honest("news", "news.test", 2, 1), friend: honest("friend", "news.test", 2, 2), shop: honest("shop", "shop.test", 3, 1),
		large: honest("large sender", "large.test", 5, 1), large2: honest("large sender, another host", "large.test", 6, 2),
		neighbor: honest("neighbour of a bot", "shop.test", 40, 9),
		eager:    &sender{what: "bot: speaks too early", from: address(30, 1), domain: "offers.test", manner: hasty, choose: chooser("bot: highest number")},
		rented:   &sender{what: "bot: in a shared network", from: address(40, 1), domain: "offers.test", manner: deaf, choose: chooser("bot: highest number")},
		bots:     bots(),
	}
}

// all are those of the table.
func (c *cast) all() []*sender {
	return append([]*sender{c.news, c.friend, c.shop, c.large, c.large2, c.neighbor, c.eager, c.rented}, c.bots...)
}

// bots are those of simulate.
func bots() (list []*sender) {
	for _, kind := range mail.Senders {
		if kind.Honest {
			continue
		}
		b := &sender{what: kind.Name, from: address(byte(11+len(list)), 1), domain: "offers.test", choose: kind.Choose}
		if !strings.HasPrefix(kind.Name, "savvy") && len(list)%2 == 0 {
			b.manner = deaf
		}
		list = append(list, b)
	}
	return list
}

func chooser(name string) func(*mail.Domain) []mail.Exchange {
	for _, kind := range mail.Senders {
		if kind.Name == name {
			return kind.Choose
		}
	}
	return nil
}

func address(network, host byte) netip.Addr { return netip.AddrFrom4([4]byte{127, 0, network, host}) }

// play tells the story, and then the table of who went where.
func (s *stage) play() error {
	c := newCast()
	s.watch(c.all())
	for _, step := range []struct {
		minute int
		says   string
		do     func()
	}{
		{1, "Honest senders deliver.", func() { s.sends(c.news, c.friend, c.shop) }},
		{5, "Bots come, each kind to the hosts that simulate says.", func() { s.sends(c.bots...); s.sends(c.eager) }},
		{8, "The one that spoke too early comes again: two such sessions list it.", func() { s.sends(c.eager) }},
		{10, "A bot that is listed tries a real host.", func() { s.sendsTo(c.bots[0], "bot: lowest number only") }},
		{12, "A large sender is greylisted by both real hosts, so it goes on to the decoys.", func() { s.sends(c.large) }},
		{16, "Another of its hosts tries again. That tells of the sender, so that its try at the decoys is no evidence.", func() {
			s.sends(c.large2)
			c.large.delivered = c.large2.delivered // it is the same message
		}},
		{40, "Both real hosts go down.", func() { s.outage(true) }},
		{43, "Honest senders try all hosts. The decoys tell everybody to come later, and write nothing down.", func() { s.sends(c.news, c.friend, c.shop) }},
		{52, "The real hosts are back.", func() { s.outage(false) }},
		{56, "What waited is delivered.", func() { s.sends(c.news, c.friend, c.shop) }},
		{64, "An hour has passed since the polite bots came. None of them has been to a real host.", func() {}},
		{75, "One more bot comes, from a network that others share.", func() { s.sends(c.rented) }},
		{80, "An honest neighbour of that bot delivers: the whole network is pardoned.", func() { s.sends(c.neighbor) }},
		{int(story.Minutes()), "", func() {}},
	} {
		if !s.until(time.Duration(step.minute) * time.Minute) {
			return s.deaf
		}
		if step.says != "" {
			s.tell("%s", "\n        "+step.says)
		}
		step.do()
	}
	s.tell("\n        Who went where:\n")
	s.table(c.all())
	return s.verdict(c)
}

// table is how often each came where.
func (s *stage) table(all []*sender) {
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\treal hosts\tdecoys\tlisted\tmail")
	for _, a := range all {
		listed, became := "never", "-"
		if s.ever[a.from] != "" {
			listed = s.ever[a.from]
		}
		switch {
		case a.delivered:
			became = "delivered"
		case a.waits && a.honest:
			became = "waits"
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\n", a.what, a.realHosts, a.atDecoy, listed, became)
	}
	w.Flush()
}

// verdict says whether the promise was kept.
func (s *stage) verdict(c *cast) error {
	delivered, caught, came := 0, 0, 0
	for _, a := range c.all() {
		switch {
		case a.honest && s.ever[a.from] != "":
			return errors.New(a.what + " is honest and was listed")
		case a.honest && !a.delivered:
			return errors.New(a.what + " is honest and did not deliver")
		case a.honest && a.delivered:
			delivered++
		case !a.honest && a.atDecoy > 0:
			came++
			if s.ever[a.from] != "" {
				caught++
			}
		}
	}
	s.tell("\n%d honest senders delivered, none was ever listed. Of %d bots that came to a decoy, %d were listed.", delivered, came, caught)
	return nil
}
