package storage

import (
	"context"

	"ndock/registry/refusal"
)

// A Request is what the storage knows of an HTTP request that stores something. It travels in the request's context,
// because distribution hands nothing else down. It keeps why a quota refused it, which goes before a success, too: a mount
// that was refused becomes an upload in distribution.
type Request struct {
	claim     claim
	file      string           // that only this request writes to
	OverQuota *refusal.Refusal // what came is more than the namespace may take
}

// NewRequest returns a request to the repository, and to the upload with that id, if any.
func NewRequest(repository, upload string) *Request {
	return &Request{claim: claim{repository: repository, upload: upload}}
}

type requestKey struct{}

// Context returns ctx with the request in it.
func (r *Request) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// requestOf returns the request in a context; nil for one that stores nothing.
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

// Begin starts a body of that many bytes, -1 if unknown, after so many that came for its upload before.
func (s *Store) Begin(ctx context.Context, r *Request, before, size int64) *refusal.Refusal {
	return s.quota.begin(ctx, &r.claim, before, size)
}

// Take counts bytes that came, and refuses those that are too many.
func (s *Store) Take(r *Request, n int64) *refusal.Refusal {
	if r.claim.usage == nil {
		return nil
	}
	return s.quota.take(&r.claim, n)
}

// End releases what the request has claimed.
func (s *Store) End(r *Request) {
	s.quota.end(&r.claim)
	s.writing.CompareAndDelete(r.file, r)
}

// hold makes the request the only one that writes to a file; it returns false if another one does.
func (s *Store) hold(path string, r *Request) bool {
	holder, _ := s.writing.LoadOrStore(path, r)
	if holder != r {
		return false
	}
	r.file = path
	return true
}
