package glance

import (
	"context"
	"sync"

	"ndock/registry/auth"
	"ndock/registry/auth/keystone"
)

// An Opener opens the project of a login. It need not ask OpenStack for anything.
type Opener func(ctx context.Context, login *Login) (Project, error)

// A Login is what a project is opened with. An upload may take longer than a token lives: each of its requests brings a
// newer one. So the token is to be asked for where it is used.
type Login struct {
	lock  sync.Mutex
	token keystone.Token
}

// NewLogin returns a login with a token.
func NewLogin(token keystone.Token) *Login { return &Login{token: token} }

// Token returns the newest token.
func (l *Login) Token() keystone.Token {
	l.lock.Lock()
	defer l.lock.Unlock()
	return l.token
}

// renew takes a token that lives longer.
func (l *Login) renew(token keystone.Token) {
	l.lock.Lock()
	defer l.lock.Unlock()
	if token.Expires.After(l.token.Expires) {
		l.token = token
	}
}

// user is somebody whom Keystone knows.
type user interface {
	auth.Identity
	Token(ctx context.Context, repository string) (keystone.Token, error)
	Tokens(ctx context.Context, after string, each func(project string, token keystone.Token) (more bool, err error)) error
}

// userOf returns whose request it is.
func userOf(ctx context.Context) (user, error) {
	if who, ok := auth.IdentityOf(ctx).(user); ok {
		return who, nil
	}
	return nil, errNoUser
}
