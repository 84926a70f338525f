package storage

import (
	"context"
	"net/http"

	"github.com/distribution/distribution/v3/registry/api/errcode"
)

// UploadRetry is after how many seconds a client may ask again for an upload's turn.
const UploadRetry = 10

// errBusy refuses to write to a file that another request writes to.
var errBusy = &Refusal{
	Status: http.StatusConflict, Code: errcode.ErrorCodeBlobUploadInvalid, RetryAfter: UploadRetry, Resumable: true,
	Message: "another request is sending to this upload: wait until it has ended",
}

// A Request is one that brings something to store, as the storage knows it. It is in the context of the request, which is
// all that distribution hands down; and it keeps why the storage refuses what the request brought, because distribution
// replaces errors that are handed up by its own.
type Request struct {
	claim     claim
	file      string   // that only this request writes to
	Busy      *Refusal // the file is another's
	OverQuota *Refusal // what came is more than the namespace may take
}

// NewRequest returns a request for the repository, and for the upload with this id, if any.
func NewRequest(repository, upload string) *Request {
	return &Request{claim: claim{repository: repository, upload: upload}}
}

type requestKey struct{}

// Context returns the context of the request.
func (r *Request) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// requestOf returns the request of a context; nil for one that brings nothing.
func requestOf(ctx context.Context) *Request {
	r, _ := ctx.Value(requestKey{}).(*Request)
	return r
}

// claimed returns what the request claims; nil for none.
func (r *Request) claimed() *claim {
	if r == nil {
		return nil
	}
	return &r.claim
}

// Begin has the request bring that many bytes, -1 for any number, after so many that came for its upload before.
func (s *Store) Begin(ctx context.Context, r *Request, before, size int64) *Refusal {
	return s.quota.begin(ctx, &r.claim, before, size)
}

// Take counts bytes that came, and refuses those that are too many.
func (s *Store) Take(r *Request, n int64) *Refusal {
	if r.claim.usage == nil {
		return nil
	}
	return s.quota.take(&r.claim, n)
}

// End gives back what was taken for the request.
func (s *Store) End(r *Request) {
	s.quota.end(&r.claim)
	s.writing.CompareAndDelete(r.file, r)
}

// hold has the request be the only one that writes to a file.
func (s *Store) hold(path string, r *Request) bool {
	holder, _ := s.writing.LoadOrStore(path, r)
	if holder != r {
		return false
	}
	r.file = path
	return true
}
