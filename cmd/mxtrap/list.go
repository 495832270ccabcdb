package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"mxtrap/server"
	"mxtrap/server/control"
	"mxtrap/server/judge"
)

func listCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "Show who is listed for what he did at decoys",
		Long: `Show who is listed for what he did at decoys, from the facts that the server keeps in server.state.

Nobody is kept out by this. mxtrap list export, where list.mode = "list" allows it, gives the list to those who do. The number tells the
ground: 2 spoke no SMTP, or before the greeting, in two sessions; 4 tried a decoy and no real host; 5 went on to DATA though every recipient
was refused; 6 tried decoys of two domains, on three days or of an old list, and never a real host. Grounds 4 and 6 need list.policy or list.log, by which
mxtrap knows who comes to real hosts.`,
		Args: func(c *cobra.Command, args []string) error { return unknownCommand(c, args) },
	}
	named, asJSON := configFlag(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		l, err := listed(c.Context(), *named)
		if err != nil {
			return err
		}
		entries := l.Clients
		if *asJSON {
			return writeJSON(os.Stdout, entries)
		}
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
		for _, e := range entries {
			last := e.Grounds[len(e.Grounds)-1]
			fmt.Fprintf(w, "%s\t127.0.0.%d\tuntil %s\t%s\t%s\n", judge.Bare(e.Client), e.Grade, judge.UTC(e.End), e.Grade, last.Decoy)
		}
		w.Flush()
		verb := map[bool]string{true: "in the list", false: "would be listed"}[l.Lists]
		fmt.Fprintf(os.Stderr, "%s %s\n", plural(len(entries), "client"), verb)
		return nil
	}
	c.AddCommand(listShowCommand(), listPardonCommand(), listExportCommand())
	return c
}

func listShowCommand() *cobra.Command {
	c := &cobra.Command{Use: "show ADDRESS", Short: "Show every fact about a client", Args: usage(cobra.ExactArgs(1))}
	named, asJSON := configFlag(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		a, err := netip.ParseAddr(args[0])
		if err != nil {
			return usageError{fmt.Errorf("%q is no address", args[0])}
		}
		a = a.Unmap().WithZone("")
		f, err := askOrRead(*named, func(client *control.Client) (control.Facts, error) { return client.Facts(c.Context(), a) },
			func(book *judge.Book, lists bool) control.Facts { return *server.FactsOf(book, a, lists, time.Now()) })
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(os.Stdout, f)
		}
		for _, s := range f.Sightings {
			fmt.Printf("%s  at %s (%s): %s\n", judge.UTC(s.At), s.Decoy, s.Owner, s.Says())
			fmt.Printf("    helo=%q sender=%q recipients=%q\n", s.Helo, s.Sender, s.Recipients)
		}
		for _, v := range f.Visits {
			fmt.Printf("%s  somebody of %s came to a real host\n", judge.UTC(v.At), v.From)
		}
		verb := map[bool]string{true: "is", false: "would be"}[f.Lists]
		switch l := f.Listing; {
		case l != nil:
			fmt.Printf("%s listed as 127.0.0.%d until %s: %s\n", verb, l.Grade, judge.UTC(l.End), l.Grade)
		case f.Lists:
			fmt.Println("is not listed")
		default:
			fmt.Println("would not be listed")
		}
		return nil
	}
	return c
}

func listExportCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "export",
		Short: "Print the list for mail hosts and packet filters",
		Args:  func(c *cobra.Command, args []string) error { return unknownCommand(c, args) },
		RunE: func(c *cobra.Command, _ []string) error {
			return usageError{errors.New("no form given: write mxtrap list export plain, nftables, rbldnsd, postscreen or json")}
		},
	}
	for _, x := range judge.Exports {
		form := &cobra.Command{Use: x.Name, Short: x.Says, Args: usage(cobra.NoArgs)}
		named, follow := configFlag(form), new(bool)
		if x.Name == "nftables" {
			follow = form.Flags().Bool("follow", false, "run nft -f - whenever the list changes, and once a minute, until a signal ends it")
		}
		form.RunE = func(c *cobra.Command, _ []string) error {
			if *follow {
				return followList(c.Context(), *named, x.Print)
			}
			entries, err := listedNow(c.Context(), *named)
			if err == nil {
				fmt.Print(x.Print(entries, time.Now()))
			}
			return err
		}
		c.AddCommand(form)
	}
	return c
}

// errObserve is the error of an operator who wants a list and has not agreed to it.
var errObserve = errors.New(`nobody is listed yet, because list.mode is "observe": look at mxtrap list, and when you agree set it to "list"`)

// errStale is the error of a list that may hold whom the server has pardoned since.
var errStale = errors.New("the server does not answer, and has written nothing to its sightings for five minutes: it does not run, or its disk is full; nobody is kept out by what it wrote before")

// listedNow are the clients that are listed, where the operator has them kept out.
func listedNow(ctx context.Context, named string) ([]judge.Entry, error) {
	l, err := listed(ctx, named)
	switch {
	case err != nil:
		return nil, err
	case !l.Lists:
		return nil, errObserve
	case l.stale:
		return nil, errStale
	}
	return l.Clients, nil
}

// list is who is listed; stale: by facts that no server adds to.
type list struct {
	control.List
	stale bool
}

// listed are the clients that are listed, or would be.
func listed(ctx context.Context, named string) (list, error) {
	return askOrRead(named, func(client *control.Client) (list, error) {
		l, err := client.List(ctx)
		return list{List: l}, err
	}, func(book *judge.Book, lists bool) list {
		now := time.Now()
		return list{*server.ListOf(book, lists, now), book.Stale(now.Unix())}
	})
}

// askOrRead asks the running server, or reads what one has written where none answers.
func askOrRead[T any](named string, ask func(*control.Client) (T, error), read func(book *judge.Book, lists bool) T) (answer T, err error) {
	return askOrReadWith(named, ask, func(book *judge.Book, _, lists bool) T { return read(book, lists) })
}

// askOrReadWith is askOrRead for who wants to know too whether mail hosts tell who comes to them.
func askOrReadWith[T any](named string, ask func(*control.Client) (T, error), read func(book *judge.Book, senses, lists bool) T) (answer T, err error) {
	config, err := stateConfig(named)
	if err != nil {
		return answer, err
	}
	if !config.ReadsState() {
		if answer, err = ask(control.NewClient(config.Control())); !errors.Is(err, control.ErrNoServer) {
			return answer, err
		}
	}
	if config.UseStateOfService(); config.Shares() {
		return answer, errShared
	}
	book, err := config.OpenBook()
	if errors.Is(err, os.ErrPermission) {
		err = fmt.Errorf("%w; only the account that the server runs as, and root, can read it", err)
	}
	if err != nil {
		return answer, err
	}
	return read(book, config.Senses(), config.Lists()), nil
}

// errShared is the error of a list that is not to be told by what one server has written.
var errShared = errors.New("no server answers at the socket of this server file, and the list is that of all servers that share it: start the server, and set server.control")

const (
	// followEvery is how often it is looked whether the list has changed.
	followEvery = 10 * time.Second
	// assertEvery is how often nft gets the list though it has not: a flush of the ruleset takes the sets with it.
	assertEvery = time.Minute
)

// followList keeps the sets of the kernel as the list is, each time in one transaction, until the context ends. What is in them has its time, so
// that nobody stays there for long when this has ended.
func followList(ctx context.Context, named string, form func([]judge.Entry, time.Time) string) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	var plain string
	var asserted time.Time
	for {
		entries, err := listedNow(ctx, named)
		if errors.Is(err, errObserve) && !asserted.IsZero() { // the operator has changed his mind
			err = nil
		}
		now := time.Now()
		if names := judge.Plain(entries); err == nil && (asserted.IsZero() || names != plain || now.Sub(asserted) >= assertEvery) {
			nft := exec.CommandContext(ctx, "nft", "-f", "-")
			nft.Stdin, nft.Stdout, nft.Stderr = strings.NewReader(form(entries, now)), os.Stdout, os.Stderr
			if err = nft.Run(); err == nil {
				plain, asserted = names, now
			} else {
				err = fmt.Errorf("nft -f -: %w", err)
			}
		}
		if err != nil && ctx.Err() == nil {
			if asserted.IsZero() {
				return err
			}
			fmt.Fprintln(os.Stderr, "mxtrap:", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func listPardonCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "pardon ADDRESS|PREFIX",
		Short: "Forgive what clients have done until now",
		Args:  usage(cobra.ExactArgs(1)),
	}
	named := configFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		p, err := judge.ParseClients(args[0])
		if err != nil {
			return usageError{fmt.Errorf("%q is no address and no prefix", args[0])}
		}
		if p.IsSingleIP() {
			p = judge.Narrow(p.Addr())
		}
		config, err := stateConfig(*named)
		if err != nil {
			return err
		}
		client := control.NewClient(config.Control())
		if !config.ReadsState() {
			if err = client.Pardon(c.Context(), p); err == nil {
				fmt.Fprintf(os.Stderr, "%s is pardoned\n", judge.Bare(p))
			}
			if !errors.Is(err, control.ErrNoServer) {
				return err
			}
		}
		config.UseStateOfService()
		if err := config.Pardon(p); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "%s is pardoned; a server that runs knows it with its next reload\n", judge.Bare(p))
		return nil
	}
	return c
}

// stateConfig reads the server file of a server whose state is looked at.
func stateConfig(named string) (*server.Config, error) {
	path := configPath(named)
	if path == "" {
		return nil, errNoConfig
	}
	return readConfig(path)
}
