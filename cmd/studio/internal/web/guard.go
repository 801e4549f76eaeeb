package web

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// policy is the content security policy: the page takes everything from this server and nothing from elsewhere.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// cookieName is the cookie that holds the token.
const cookieName = "hbar-studio-token"

func baseContext(ctx context.Context) func(net.Listener) context.Context {
	return func(net.Listener) context.Context { return ctx }
}

// quiet is a log for what net/http has to say of clients, which is nobody's business.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// guard decides what a request may do before it is looked at.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w = &timed{ResponseWriter: w, control: http.NewResponseController(w)}
		defer s.recovered(w, r)
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if !s.knowsHost(r.Host) {
			fail(w, http.StatusMisdirectedRequest, fmt.Sprintf("the page is not called %.100q here; take the address that was printed when it started", r.Host))
			return
		}
		if why := foreign(r); why != "" {
			fail(w, http.StatusForbidden, why)
			return
		}
		if s.o.Token != "" && r.URL.Path != "/healthz" && !s.admitted(w, r) {
			return
		}
		if (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.ContentLength != 0 {
			h.Set("Connection", "close")
			fail(w, http.StatusBadRequest, "a request to read has no body")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, mostBody)
		next.ServeHTTP(w, r)
	})
}

// knowsHost reports whether a request was meant for this server, and not for a name that a foreign page had resolved to it (DNS
// rebinding). An address is always meant: a page that rebinds has a name. Of a server for this machine alone only its own addresses
// are taken, with any port, because a tunnel has one of its own.
func (s *Server) knowsHost(hostPort string) bool {
	host := hostPort
	if h, _, err := net.SplitHostPort(hostPort); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(strings.ToLower(host), "["), "]")
	if ip := net.ParseIP(host); ip != nil {
		return !s.o.Local || ip.IsLoopback()
	}
	return host == "localhost" || slices.ContainsFunc(s.o.Hosts, func(h string) bool { return strings.EqualFold(h, host) })
}

// foreign says why a request that another site made is refused; "" if none did. A link to the page itself may be followed.
func foreign(r *http.Request) string {
	const why = "the request comes from another site"
	if origin := r.Header.Get("Origin"); origin != "" {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
			return why
		}
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return ""
	}
	if r.Method == http.MethodGet && r.URL.Path == "/" && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document" {
		return ""
	}
	return why
}

// admitted checks the token: in a cookie, in the header Authorization, or once in the address of the page, which puts it into the
// cookie. It answers if the token is missing or wrong.
func (s *Server) admitted(w http.ResponseWriter, r *http.Request) bool {
	if given := r.URL.Query().Get("token"); given != "" && r.URL.Path == "/" && s.isToken(given) {
		http.SetCookie(w, &http.Cookie{Name: cookieName, Value: given, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, MaxAge: 30 * 24 * 3600})
		w.Header().Set("Location", "/")
		w.WriteHeader(http.StatusSeeOther)
		return false
	}
	if c, err := r.Cookie(cookieName); err == nil && s.isToken(c.Value) {
		return true
	}
	if given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && s.isToken(given) {
		return true
	}
	w.Header().Set("WWW-Authenticate", "Bearer")
	fail(w, http.StatusUnauthorized, "a token is needed: take the link that was printed when the page was started, or send Authorization: Bearer TOKEN")
	return false
}

// isToken compares in constant time.
func (s *Server) isToken(given string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(s.o.Token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// recovered turns a fault of the program into an answer.
func (s *Server) recovered(w http.ResponseWriter, r *http.Request) {
	fault := recover()
	switch {
	case fault == nil:
	case fault == http.ErrAbortHandler:
		panic(fault)
	default:
		s.fault(r, fault)
		fail(w, http.StatusInternalServerError, "the program has a fault, which it has printed where it was started")
	}
}

// fault reports a fault of the program.
func (s *Server) fault(r *http.Request, fault any) {
	s.metrics.faults.Inc()
	if s.o.Log != nil {
		fmt.Fprintf(s.o.Log, "studio: fault in %s %.200s: %v\n%s", r.Method, r.URL.Path, fault, debug.Stack())
	}
}

// chunk is how many bytes are written at a time.
const chunk = 64 << 10

// timed gives up clients that read too slowly: each chunk and the whole answer have a time. A stream has only the first.
type timed struct {
	http.ResponseWriter
	control *http.ResponseController
	began   time.Time
	stream  bool
}

func (t *timed) Write(b []byte) (int, error) {
	done := 0
	for {
		if t.began.IsZero() {
			t.began = time.Now()
		}
		end := time.Now().Add(chunkTime)
		if last := t.began.Add(answerTime); !t.stream && last.Before(end) {
			end = last
		}
		_ = t.control.SetWriteDeadline(end) // recorders of tests have none
		n, err := t.ResponseWriter.Write(b[done:min(len(b), done+chunk)])
		done += n
		if err != nil || done == len(b) {
			return done, err
		}
	}
}

// Unwrap is for http.ResponseController.
func (t *timed) Unwrap() http.ResponseWriter { return t.ResponseWriter }
