package keystone

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
)

// leastLeft is how long a token is good for at least that opens Glance: a request may take a while. One with less is
// exchanged for another, with the user's password.
const leastLeft = 5 * time.Minute

// margin is how long before its end a token counts as old. It is short where tokens are.
func (s *Source) margin() time.Duration {
	if s.Glance {
		return leastLeft
	}
	return 0
}

// Token is a token for one project, and where it is good for something. It is a secret.
type Token struct {
	ID        string
	ProjectID string
	Project   string // name
	Domain    string // name of the project's domain
	UserID    string
	Expires   time.Time
	Catalog   []tokens.CatalogEntry
}

// readToken reads a token of a project.
func readToken(result tokens.CreateResult, project *tokens.Project) (Token, error) {
	token, err := result.ExtractToken()
	if err != nil {
		return Token{}, err
	}
	catalog, err := result.ExtractServiceCatalog()
	if err != nil {
		return Token{}, err
	}
	made := Token{ID: token.ID, ProjectID: project.ID, Project: project.Name, Domain: project.Domain.Name, Expires: token.ExpiresAt, Catalog: catalog.Entries}
	if user, err := result.ExtractUser(); err == nil && user != nil {
		made.UserID = user.ID
	}
	return made, nil
}

// Token returns the user's token for the project of a repository.
func (s *session) Token(ctx context.Context, repository string) (Token, error) {
	in, err := s.scope(ctx, repository)
	if err != nil {
		return Token{}, err
	}
	return in.token, nil
}

// Tokens calls each with the projects of the user that sort after a text, in the order of what their repositories' names begin
// with, until each returns false. It asks for a token only where it needs one.
func (s *session) Tokens(ctx context.Context, after string, each func(project string, token Token) (more bool, err error)) error {
	names, err := s.projectNames(ctx)
	if err != nil {
		return err
	}
	for _, one := range names {
		if one.name+"/\xff" <= after {
			continue
		}
		in, err := s.projectToken(ctx, one.id)
		if err != nil {
			return err
		}
		if in == nil {
			continue
		}
		if more, err := each(one.name, in.token); err != nil || !more {
			return err
		}
	}
	return nil
}

// named is a project and what the names of its repositories begin with.
type named struct{ id, name string }

// projectNames returns the user's projects, sorted by their names with a slash behind.
func (s *session) projectNames(ctx context.Context) ([]named, error) {
	domains := map[string]string{} // names by id: the list of projects has only ids
	var all []named
	for _, one := range s.projects {
		domain, known := domains[one.DomainID]
		if !known {
			in, err := s.projectToken(ctx, one.ID)
			if err != nil {
				return nil, err
			}
			if in == nil {
				continue
			}
			domain = in.domain
			domains[one.DomainID] = domain
		}
		all = append(all, named{one.ID, s.source.repositoriesName(one.ID, one.Name, domain)})
	}
	slices.SortFunc(all, func(a, b named) int { return strings.Compare(a.name+"/", b.name+"/") })
	return all, nil
}

// componentPattern matches what can stand between slashes in the name of a repository.
var componentPattern = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$`)

// repositoriesName returns the project's name, where it can stand for the project in the names of repositories; else the id.
func (s *Source) repositoriesName(id, name, domain string) string {
	if domain == s.Domain && componentPattern.MatchString(name) && !idPattern.MatchString(name) {
		return name
	}
	return id
}
