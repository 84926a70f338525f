package serve

import (
	"net/http"
	"strconv"
	"time"

	"github.com/distribution/distribution/v3/registry/api/errcode"

	"ndock/docker/transfer"
	"ndock/registry/internal/turns"
	"ndock/registry/refusal"
	"ndock/registry/storage"
)

// How many manifests are read at a time, of up to 4 MiB each and twice in memory, and how many bytes of them clients may be taking.
// Each has as many from one network at most. A list of tags or repositories counts as a large manifest, and is read from a whole
// directory, or all of them.
const (
	maxLists                     = 16
	maxListsOfNetwork            = 4
	answerWithin                 = time.Second // who waits longer is refused: the manifest is in memory meanwhile
	maxReads                     = 64
	maxReadsOfNetwork            = 16
	maxAnswerBytes               = 256 << 20
	maxAnswerBytesOfNetwork      = 64 << 20
	maxSmallAnswerBytes          = 64 << 20
	maxSmallAnswerBytesOfNetwork = 16 << 20
)

var errManyReads = &refusal.Refusal{Status: http.StatusServiceUnavailable, Code: errcode.ErrorCodeUnavailable, Message: "the registry is asked for too many manifests or lists: try again later", RetryAfter: refusal.RetryUploads}

// manifestAnswers bounds the memory of manifests and lists that clients ask for: while they are read, and then while the clients take
// them.
type manifestAnswers struct {
	reads *turns.Turns // nil for any number
	lists *turns.Turns // nil for any number
	room  manifestRoom
}

func newManifestAnswers(within time.Duration) manifestAnswers {
	return manifestAnswers{turns.New(maxReads, maxReadsOfNetwork, within), turns.New(maxLists, maxListsOfNetwork, within), manifestRoom{
		small: turns.New(maxSmallAnswerBytes, maxSmallAnswerBytesOfNetwork, min(within, answerWithin)),
		large: turns.New(maxAnswerBytes, maxAnswerBytesOfNetwork, min(within, answerWithin)),
	}}
}

// manifestAnswer is one of them.
type manifestAnswer struct {
	room    manifestRoom
	request *http.Request
	header  http.Header
	leave   func() // ends its turn
}

// begin waits for a turn to read. Nobody knows yet who asks, so it goes by the network.
func (m manifestAnswers) begin(w http.ResponseWriter, r *http.Request, reads *turns.Turns) (*manifestAnswer, *refusal.Refusal) {
	if reads == nil {
		return &manifestAnswer{m.room, r, w.Header(), func() {}}, nil
	}
	leave, err := reads.Enter(r.Context(), transfer.ClientNetwork(r.RemoteAddr), 1)
	if err != nil {
		return nil, errManyReads
	}
	return &manifestAnswer{m.room, r, w.Header(), leave}, nil
}

// write waits for a turn to answer, now that the size is known, and ends the one to read. It returns why there is none.
func (a *manifestAnswer) write(status int) *refusal.Refusal {
	if status != http.StatusOK || a.request.Method == http.MethodHead {
		return nil
	}
	size, err := strconv.ParseInt(a.header.Get("Content-Length"), 10, 64)
	if err != nil {
		size = storage.MaxManifest
	}
	leave, err := a.room.enter(a.request.Context(), transfer.ClientNetwork(a.request.RemoteAddr), min(size, storage.MaxManifest))
	if err != nil {
		return errManyReads
	}
	a.leave()
	a.leave = leave
	return nil
}

func (a *manifestAnswer) end() { a.leave() }

func reads(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// readsManifest returns whether a request is for a manifest, or for the list of those about one.
func readsManifest(at route, r *http.Request) bool {
	return (at.kind == "manifests" || at.kind == "referrers") && reads(r)
}

// readsList returns whether a request is for a list of tags or of repositories.
func readsList(at route, r *http.Request) bool {
	return (at.kind == "tags" || at.kind == "catalog") && reads(r)
}

// inPages has tags come in pages of a thousand at most: a client that names no number would get all, however many there are.
func inPages(at route, r *http.Request) {
	if query := r.URL.Query(); at.kind == "tags" && query.Get("n") == "" {
		query.Set("n", "1000")
		r.URL.RawQuery = query.Encode()
	}
}
