// Package page shows a person what the server does: the page at the HTTP address. It only reads.
//
// page.go has the doors and what is asked of the server, chart.go works out the pictures, zone.go the drawing of a trap, and the files beside them
// are the templates. All of it is made here: pages need no script, and nothing comes from elsewhere.
//
// It decides nothing, and keeps nothing but the last pictures, which take longest to work out.
package page

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"mxtrap/server/control"
	"mxtrap/server/judge"
)

//go:embed *.html style.css
var files embed.FS

// Server is asked what is shown. Its functions are called from many goroutines.
type Server interface {
	// Overview is the server as a whole, and some of its zones: so many from a place on, or those whose names hold a text.
	Overview(search string, from, most int) *Overview
	// Zone is a zone with its trap.
	Zone(name string) (*Zone, error)
	// Facts are what is known of a client.
	Facts(client netip.Addr) (*control.Facts, error)
	// Picture is what the facts come to, and Funnel how many come how far.
	Picture() *Picture
}

// Overview is what the first page shows.
type Overview struct {
	Version   string
	Since     time.Time
	Zones     int // in all
	Found     int // of them, those that were asked for
	Rows      []Row
	Down      []string // zones that cannot be answered; not all where they are many
	DownCount int
	Reloaded  bool // the last load took in every file
	Unwell    []string
	Lists     bool // the list is handed out
	Catches   bool // the catch listens
	Counts    bool // queries are counted by zone
}

// Row is a zone of the overview.
type Row struct {
	Name                 string
	Serial               uint32
	Down, Signed         bool
	Real, Decoys, Covers int
	Queries              uint64
}

// Picture is what the pictures are made of.
type Picture struct {
	*judge.Picture
	Ranks     map[string]int // of decoys, by name: 1 is that with the lowest number
	Funnel    []Step
	Listed    []judge.Entry // not all where they are many
	ListedAll int
	Made      time.Time
}

// Step is how many came so far.
type Step struct {
	Name  string
	Count uint64
}

// Handler serves the pages of a server.
func Handler(s Server) http.Handler {
	h := &handler{server: s, pages: template.Must(template.New("").Funcs(template.FuncMap{
		"ago": ago, "at": judge.UTC, "plural": plural, "bare": judge.Bare,
	}).ParseFS(files, "*.html"))}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", h.overview)
	mux.HandleFunc("GET /zone", h.zone)
	mux.HandleFunc("GET /client", h.client)
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) {
		style, _ := files.ReadFile("style.css")
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		http.ServeContent(w, r, "style.css", time.Time{}, bytes.NewReader(style))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for key, value := range headers {
			w.Header().Set(key, value)
		}
		mux.ServeHTTP(w, r)
	})
}

// headers let a page have its style and nothing else, and no other site anything of it.
var headers = map[string]string{
	"Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	"X-Content-Type-Options":  "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store",
}

type handler struct {
	server Server
	pages  *template.Template

	mu      sync.Mutex
	picture *Picture
	painter bool // somebody works out the next one
}

// rows is how many zones a page has.
const rows = 100

// pictureAge is how old pictures may be.
const pictureAge = 30 * time.Second

func (h *handler) overview(w http.ResponseWriter, r *http.Request) {
	search := r.FormValue("zone")
	from, _ := strconv.Atoi(r.FormValue("from"))
	from = max(0, from)
	o := h.server.Overview(search, from, rows)
	p := h.pictures()
	h.write(w, "overview.html", map[string]any{
		"Title": "mxtrap", "Overview": o, "Search": search, "From": from + 1, "To": from + len(o.Rows), "Before": max(0, from-rows), "HasBefore": from > 0,
		"After": from + rows, "HasAfter": from+len(o.Rows) < o.Found, "Charts": charts(p), "Picture": p,
	})
}

// pictures are the last ones. Where these are old, new ones are worked out for the next who asks: with very many facts that takes seconds.
func (h *handler) pictures() *Picture {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.picture == nil {
		h.picture = h.server.Picture()
	}
	if time.Since(h.picture.Made) > pictureAge && !h.painter {
		h.painter = true
		go func() {
			p := h.server.Picture()
			h.mu.Lock()
			defer h.mu.Unlock()
			h.picture, h.painter = p, false
		}()
	}
	return h.picture
}

func (h *handler) zone(w http.ResponseWriter, r *http.Request) {
	z, err := h.server.Zone(r.FormValue("zone"))
	if err != nil {
		h.fail(w, err)
		return
	}
	h.write(w, "zone.html", map[string]any{"Title": z.Name, "Zone": z, "Traps": draw(z)})
}

func (h *handler) client(w http.ResponseWriter, r *http.Request) {
	a, err := netip.ParseAddr(r.FormValue("address"))
	if err != nil {
		h.fail(w, fmt.Errorf("%q is not an address", r.FormValue("address")))
		return
	}
	a = a.Unmap().WithZone("") // which may be any text
	f, err := h.server.Facts(a)
	if err != nil {
		h.fail(w, err)
		return
	}
	h.write(w, "client.html", map[string]any{"Title": a.String(), "Client": a, "Facts": f})
}

// fail says that there is no such thing to be shown.
func (h *handler) fail(w http.ResponseWriter, err error) {
	status, text := http.StatusUnprocessableEntity, err.Error()
	switch {
	case errors.Is(err, control.ErrNoZone):
		status = http.StatusNotFound
	case errors.Is(err, context.DeadlineExceeded):
		status, text = http.StatusServiceUnavailable, "The server is reading its files. Try again in a moment."
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	h.pages.ExecuteTemplate(w, "fault.html", map[string]any{"Title": "Nothing to show", "Error": text})
}

func (h *handler) write(w http.ResponseWriter, page string, data any) {
	var out bytes.Buffer
	if err := h.pages.ExecuteTemplate(&out, page, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(out.Bytes())
}

// ago is a time as a person reads it.
func ago(t time.Time) string {
	switch d := time.Since(t); {
	case t.IsZero():
		return "never"
	case d < time.Minute:
		return "just now"
	case d < 2*time.Hour:
		return plural(int(d/time.Minute), "minute") + " ago"
	case d < 48*time.Hour:
		return plural(int(d/time.Hour), "hour") + " ago"
	default:
		return plural(int(d/(24*time.Hour)), "day") + " ago"
	}
}

func plural(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}
