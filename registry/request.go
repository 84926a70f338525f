package registry

import (
	"context"
	"net/http"

	"github.com/distribution/distribution/v3/registry/api/errcode"
)

// uploadPatience is after how many seconds a client may ask again for an upload's turn.
const uploadPatience = 10

// errBusy refuses to write to a file that another request writes to.
var errBusy = &refusal{
	status: http.StatusConflict, code: errcode.ErrorCodeBlobUploadInvalid, retryAfter: uploadPatience, resumable: true,
	message: "another request is sending to this upload: wait until it has ended",
}

// A request is one that brings something to store, as the storage knows it. It is in the context of the request, which is
// all that distribution hands down; and it keeps why the storage refuses what the request brought, because distribution
// replaces errors that are handed up by its own.
type request struct {
	claim     claim
	file      string   // that only this request writes to
	busy      *refusal // the file is another's
	overQuota *refusal // what came is more than the namespace may take
}

// newRequest returns a request for the repository, and for the upload with this id, if any.
func newRequest(repository, upload string) *request {
	return &request{claim: claim{repository: repository, upload: upload}}
}

type requestKey struct{}

// within returns the context of the request.
func (r *request) within(ctx context.Context) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// requestOf returns the request of a context; nil for one that brings nothing.
func requestOf(ctx context.Context) *request {
	r, _ := ctx.Value(requestKey{}).(*request)
	return r
}

// claimed returns what the request claims; nil for none.
func (r *request) claimed() *claim {
	if r == nil {
		return nil
	}
	return &r.claim
}

// begin has the request bring that many bytes, -1 for any number, after so many that came for its upload before.
func (s *store) begin(ctx context.Context, r *request, before, size int64) *refusal {
	return s.quota.begin(ctx, &r.claim, before, size)
}

// take counts bytes that came, and refuses those that are too many.
func (s *store) take(r *request, n int64) *refusal {
	if r.claim.usage == nil {
		return nil
	}
	return s.quota.take(&r.claim, n)
}

// end gives back what was taken for the request.
func (s *store) end(r *request) {
	s.quota.end(&r.claim)
	s.writing.CompareAndDelete(r.file, r)
}

// hold has the request be the only one that writes to a file.
func (s *store) hold(path string, r *request) bool {
	holder, _ := s.writing.LoadOrStore(path, r)
	if holder != r {
		return false
	}
	r.file = path
	return true
}
