package list

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mxtrap/server/catch"
	"mxtrap/server/judge"
	"mxtrap/server/pace"
	"mxtrap/server/resolve"
	"mxtrap/server/socket"
)

// Keeper keeps the facts of a running server. What it exports belongs to one goroutine, but for [Keeper.Sighted].
type Keeper struct {
	Book *judge.Book
	// Listed receives clients that are listed for what they have just done. One that nobody receives in time is among the next
	// [Keeper.Clients].
	Listed chan judge.Entry
	// Fleet is who is listed by all servers that share a list, where there are some: they are asked, and not the book.
	Fleet func(now int64) (entries []judge.Entry, ok bool)

	log     *slog.Logger
	clock   func() time.Time
	servers func() []string // that are asked who a client is
	places  chan struct{}   // look-ups about clients at a time
	running sync.WaitGroup
	ctx     context.Context // of the look-ups
	stop    func()
	broken  pace.PerMinute
	well    map[netip.Prefix]bool        // the sites that have been well since the start
	ticked  time.Time                    // by the clock
	awake   time.Time                    // when that was, in truth
	lists   atomic.Bool                  // mail hosts turn away whom the book lists
	decoys  atomic.Pointer[catch.Sites]  // where the catch may stand
	folder  string                       // of the files in which facts are kept; "": they are in memory alone
	read    chan struct{}                // closed when what was kept has been read
	told    map[netip.Prefix]judge.Entry // as the clients were told last
}

// Every is how often outages are noted, what is old is looked for, and clients are judged again.
const Every = 10 * time.Second

// vouchesAtOnce is how many clients are looked up at a time. Of more, none is evidence: there is no telling honest ones.
const vouchesAtOnce = 64

// waitingListed is how many listed clients may wait to be received.
const waitingListed = 1024

// NewKeeper makes a keeper whose facts are in memory. It asks the name servers, "" for those of the host, about clients.
func NewKeeper(rules judge.Rules, clock func() time.Time, servers func() []string, log *slog.Logger) *Keeper {
	k := &Keeper{
		Book: judge.NewBook(rules), Listed: make(chan judge.Entry, waitingListed), log: log, clock: clock, servers: servers,
		places: make(chan struct{}, vouchesAtOnce), well: map[netip.Prefix]bool{}, ticked: clock(), awake: time.Now(), read: make(chan struct{}),
	}
	k.ctx, k.stop = context.WithCancel(context.Background())
	return k
}

// Open has the facts kept in a folder from now on. It takes in what was kept there, beside everything else. A second call does nothing.
func (k *Keeper) Open(folder string) {
	if k.folder != "" {
		return
	}
	k.folder = folder
	k.running.Go(func() {
		defer close(k.read)
		k.take(folder)
	})
}

// take reads what was kept in a folder, and goes on keeping there.
func (k *Keeper) take(folder string) {
	facts, _ := filesIn(folder)
	if !k.readPardons() { // whom the operator has pardoned is not known
		k.note(k.Book.Add(judge.Fact{Outage: &judge.Outage{From: 1, To: k.clock().Unix()}}))
	}
	damaged, err := k.Book.Read(facts, k.clock().Unix())
	if damaged > 0 {
		k.log.Warn("lines of the sightings are damaged; what clients did until now is no evidence", "file", facts, "lines", damaged)
	}
	if err != nil {
		k.log.Error("cannot read the sightings; what comes is in memory alone", "file", facts, "error", err)
	} else if err = k.Book.Write(facts, k.clock().Unix()); err != nil {
		k.log.Error("cannot keep sightings; they are in memory until mxtrap can", "file", facts, "error", err)
	}
}

// readPardons has the pardons hold that there are now; where they cannot be read, those before.
func (k *Keeper) readPardons() (ok bool) {
	if k.folder == "" {
		return true
	}
	_, pardons := filesIn(k.folder)
	err := k.Book.ReadPardons(pardons)
	if err != nil {
		k.log.Error("cannot read the pardons", "file", pardons, "error", err)
	}
	return err == nil
}

// Known is closed when what was kept before is known.
func (k *Keeper) Known() <-chan struct{} { return k.read }

// knows says whether what was kept before is known, or nothing was.
func (k *Keeper) knows() bool {
	select {
	case <-k.read:
		return true
	default:
		return k.folder == ""
	}
}

// Unread says that what was kept before is not known yet.
func (k *Keeper) Unread() error {
	if !k.knows() {
		return errors.New("the sightings are being read; ask again in a moment")
	}
	return nil
}

// Lists says whether mail hosts turn away whom the book lists.
func (k *Keeper) Lists() bool { return k.lists.Load() }

// Close ends the look-ups under way, and waits for the end of all that the keeper does.
func (k *Keeper) Close() {
	k.stop()
	k.running.Wait()
}

// Sighted notes what a client did at a decoy, once DNS was asked who it is.
func (k *Keeper) Sighted(seen *catch.Sighting) {
	if !k.Book.Keeps() {
		return
	}
	select {
	case k.places <- struct{}{}:
	default:
		return
	}
	at := k.clock().Add(-time.Since(seen.At))
	k.running.Go(func() {
		defer func() { <-k.places }()
		fact := &judge.Sighting{
			At: at.Unix(), Client: seen.Client.Addr(), Owner: seen.Decoy.Owner, Decoy: seen.Decoy.Host, Rank: seen.Decoy.Rank, Helo: seen.Helo, Sender: seen.Sender,
			Recipients: seen.Recipients, NoSMTP: seen.Early || seen.Foreign, Tried: seen.Tried, Data: seen.Data, Age: seen.Age, Aged: seen.Aged, Stale: seen.Stale,
		}
		var err error
		fact.Name, fact.Vouched, err = resolve.Vouches(k.ctx, k.servers(), fact.Client, fact.Helo, fact.Sender)
		if err != nil || k.ctx.Err() != nil {
			return // whose friend it is cannot be told
		}
		k.note(k.Book.Add(judge.Fact{Sighting: fact}))
		if k.Fleet != nil {
			return
		}
		if l := k.Book.Judge(fact.Client, k.clock().Unix()); l != nil && k.knows() {
			select {
			case k.Listed <- judge.Entry{Client: judge.Narrow(fact.Client), Listing: *l}:
			default:
			}
		}
	})
}

// visited notes that a client came to a real host. Its forward-confirmed name is "" where it has none.
func (k *Keeper) visited(client netip.Addr, name string) {
	k.note(k.Book.Visit(client, name, k.clock().Unix(), k.lists.Load()))
}

// blind notes that visits may have been missed since a time: nobody is to be listed for a lack of them.
func (k *Keeper) blind(since time.Time) {
	now := k.clock()
	k.note(k.Book.Add(judge.Fact{Outage: &judge.Outage{From: now.Add(-time.Since(since)).Unix(), To: now.Unix()}}))
}

// note tells of facts that could not be written.
func (k *Keeper) note(err error) {
	if err != nil && k.broken.Allow(time.Now()) {
		k.log.Error("cannot write a sighting, a visit or an outage; it is in memory alone", "error", err)
	}
}

// stoodStill is from how long on it counts that the process did nothing, such as when it was stopped by a signal.
const stoodStill = time.Minute

// Tick does what is due for the facts, with what is known of the addresses of decoys: it notes which owners have a real exchange that is not
// well, after it was, and forgets what is old.
func (k *Keeper) Tick(decoys *catch.Sites) {
	now, passed, stood := k.clock(), k.clock().Sub(k.ticked), time.Since(k.awake) > stoodStill
	k.ticked, k.awake = now, time.Now()
	k.decoys.Store(decoys)
	if !k.knows() {
		return
	}
	k.watchOutages(decoys, now.Unix())
	jumped, err := k.Book.Tick(now.Unix(), passed, stood)
	if jumped {
		k.log.Warn("the clock has jumped, or mxtrap stood still; what clients do near that time is no evidence")
	}
	k.note(err)
	k.running.Go(func() { k.note(k.Book.Compact(now.Unix())) })
}

// watchOutages notes which owners have a real exchange that is not well, after it was.
func (k *Keeper) watchOutages(sites *catch.Sites, now int64) {
	down := map[string]bool{} // by owner, who may have decoys at several sites
	for a, site := range sites.All() {
		well := site.Well()
		if !well && !k.well[a] {
			continue // it was not dialled long enough yet: nobody is evidence there
		}
		k.well[a] = true
		for _, d := range site.Decoys {
			down[d.Owner] = down[d.Owner] || !well
		}
	}
	for owner, down := range down {
		k.note(k.Book.Down(owner, down, now))
	}
}

// Use has facts judged by other rules, and by the pardons that there are now. Lists says that mail hosts turn away whom the book lists.
func (k *Keeper) Use(rules judge.Rules, lists bool) {
	k.Book.Use(rules)
	k.lists.Store(lists)
	k.readPardons()
}

// Folder is where facts are kept; "": in memory alone.
func (k *Keeper) Folder() string { return k.folder }

// RunPolicy answers Postfix at an address. The function that it returns waits for the end of that, which comes with the context's.
func (k *Keeper) RunPolicy(ctx context.Context, address string) (wait func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	var l net.Listener
	if path, unix := strings.CutPrefix(address, "unix:"); unix {
		l, err = socket.ListenUnix(path, 0o666) // Postfix's processes have an account of their own; what they may tell does no harm
	} else {
		l, err = net.Listen("tcp", address)
	}
	if err != nil {
		return nil, fmt.Errorf("list.policy: %q: %w", address, err)
	}
	k.log.Info("answering policy requests", "listen", address)
	took := func(client netip.Addr) { k.note(k.Book.Took(client, k.clock().Unix())) }
	p := &judge.Policy{Seen: k.visited, Took: took, Lost: func() { k.blind(time.Now()) }}
	return p.Serve(ctx, l), nil
}
