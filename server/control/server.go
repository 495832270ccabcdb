package control

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"mxtrap/server/judge"
	"mxtrap/server/share"
)

// Server does what the operator's commands ask for. Its functions are called from many goroutines, and return an error for the operator.
type Server struct {
	Status   func(ctx context.Context) (*Status, error)
	Zone     func(ctx context.Context, name string) (*Zone, error)
	Reload   func(ctx context.Context, zone string) (*Reloaded, error) // of all zones where the name is ""
	Refresh  func(ctx context.Context, zone string) error
	Top      func(ctx context.Context, during time.Duration, most int) (*Top, error)
	Drop     func(ctx context.Context, zone, name string) error // the updates of a name
	LogLevel func(level string) error
	List     func() (*List, error)
	Facts    func(client netip.Addr) (*Facts, error)
	Pardon   func(ctx context.Context, clients netip.Prefix) error
	Report   func(since time.Duration) (*judge.Report, error)
	Share    func() (*share.Status, error)
	Forget   func(ctx context.Context, node string) error // of those that share
}

// ErrNoZone says that a name is none of a zone that is served.
var ErrNoZone = errors.New("no such zone is served")

// Bounds of a request: the operator is alone with the socket, and may be slow.
const (
	requestTime = 10 * time.Second // to send it
	answerTime  = 10 * time.Minute // a reload of very many zones takes its time
)

// Serve answers what comes to a listener, until the function that it returns is called, which waits for the end.
func (s *Server) Serve(l net.Listener, log *slog.Logger) (stop func()) {
	mux := http.NewServeMux()
	zone := func(r *http.Request) string { return r.URL.Query().Get("zone") } // no part of the path: a name may be a dot
	handle(mux, "GET /status", func(r *http.Request) (any, error) { return s.Status(r.Context()) })
	handle(mux, "GET /zone", func(r *http.Request) (any, error) { return s.Zone(r.Context(), zone(r)) })
	handle(mux, "POST /reload", func(r *http.Request) (any, error) { return s.Reload(r.Context(), zone(r)) })
	handle(mux, "POST /refresh", func(r *http.Request) (any, error) { return struct{}{}, s.Refresh(r.Context(), zone(r)) })
	handle(mux, "GET /top", func(r *http.Request) (any, error) {
		during, err := time.ParseDuration(r.URL.Query().Get("during"))
		if err != nil {
			return nil, err
		}
		most, err := strconv.Atoi(r.URL.Query().Get("most"))
		if err != nil {
			return nil, err
		}
		return s.Top(r.Context(), during, most)
	})
	handle(mux, "POST /update/drop", func(r *http.Request) (any, error) {
		return struct{}{}, s.Drop(r.Context(), zone(r), r.URL.Query().Get("name"))
	})
	handle(mux, "GET /list", func(*http.Request) (any, error) { return s.List() })
	handle(mux, "GET /list/client", func(r *http.Request) (any, error) {
		a, err := netip.ParseAddr(r.URL.Query().Get("address"))
		if err != nil {
			return nil, err
		}
		return s.Facts(a)
	})
	handle(mux, "POST /list/pardon", func(r *http.Request) (any, error) {
		p, err := netip.ParsePrefix(r.URL.Query().Get("clients"))
		if err != nil {
			return nil, err
		}
		return struct{}{}, s.Pardon(r.Context(), p)
	})
	handle(mux, "GET /report", func(r *http.Request) (any, error) {
		since, err := time.ParseDuration(r.URL.Query().Get("since"))
		if err != nil {
			return nil, err
		}
		return s.Report(since)
	})
	handle(mux, "GET /share", func(*http.Request) (any, error) { return s.Share() })
	handle(mux, "POST /share/forget", func(r *http.Request) (any, error) {
		return struct{}{}, s.Forget(r.Context(), r.URL.Query().Get("node"))
	})
	handle(mux, "POST /log-level", func(r *http.Request) (any, error) { return struct{}{}, s.LogLevel(r.URL.Query().Get("level")) })
	h := &http.Server{
		Handler: mux, ReadTimeout: requestTime, WriteTimeout: answerTime, IdleTimeout: requestTime, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.Serve(l)
	}()
	return func() {
		h.Close()
		<-done
	}
}

// failure is what is said where a request fails.
type failure struct {
	Error string `json:"error"`
}

func handle(mux *http.ServeMux, pattern string, do func(*http.Request) (any, error)) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		answer, err := do(r)
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			answer = failure{err.Error()}
			w.WriteHeader(http.StatusUnprocessableEntity)
		}
		json.NewEncoder(w).Encode(answer)
	})
}
