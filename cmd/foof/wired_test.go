package main

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"foof/events"
	"foof/internal/mail"
	"foof/internal/sms"
	"foof/projections"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"
)

// unprojected are the events that no read model shows, each with its reason.
var unprojected = map[string]string{
	"phone.code_requested": "state of the phone number's decider; the sms reactor sends the code",
	"phone.code_rejected":  "state of the phone number's decider: tries at a code",
	"phone.code_used":      "state of the phone number's decider",
	"user.mail_requested":  "state of the user's decider; the mail reactor sends the link",
	"image.uploaded":       "for audits: who put which image there",
	"phone.claimed":        "state of the phone number's decider; what users see of it is in user.registered, of the same append",
}

func TestEverythingIsWired(t *testing.T) {
	t.Parallel()
	s := shared(t)

	t.Run("each event type is folded by a projector, or it is said why not", func(t *testing.T) {
		t.Parallel()
		for _, kind := range events.Types.All() {
			var folds []string
			for _, projector := range projections.All {
				page := []events.Recorded{{Position: 1, Stream: kind.New().Stream(), Version: 1, Type: kind.Name, Event: kind.New()}}
				if err := projector.Project(t.Context(), touched{}, page); errors.Is(err, errTouched) {
					folds = append(folds, projector.Name)
				} else if err != nil {
					t.Errorf("%s: %v", kind.Name, err)
				}
			}
			if reason := unprojected[kind.Name]; (len(folds) > 0) == (reason != "") {
				t.Errorf("%s is folded by %v, and the reason why by none is %q", kind.Name, folds, reason)
			}
		}
	})
	t.Run("each event type of a reactor is in the registry", func(t *testing.T) {
		t.Parallel()
		for _, name := range slices.Concat(sms.Types, mail.Types) {
			if !slices.ContainsFunc(events.Types.All(), func(kind events.Type) bool { return kind.Name == name }) {
				t.Errorf("a reactor waits for %s, which is no event", name)
			}
		}
	})
	t.Run("each command is carried out by a route", func(t *testing.T) {
		t.Parallel()
		commands := receivers(t, "../../commands", "Decide")
		used := selected(t, "../../writeapi", "commands", routed(t, "../../writeapi"))
		for _, command := range commands {
			if !used[command] {
				t.Errorf("no route of writeapi carries out commands.%s", command)
			}
		}
		if len(commands) < 6 {
			t.Errorf("found the commands %v only", commands)
		}
	})
	t.Run("each projector and reactor has a checkpoint", func(t *testing.T) {
		t.Parallel()
		for _, reader := range append(projections.Names(), reactors...) {
			until(t, reader+" has a checkpoint", func() bool {
				return value[int](t, s.db, `select count(*) from checkpoints where reader = $1`, reader) == 1
			})
		}
		if n := value[int](t, s.db, `select count(*) from checkpoints`); n != len(projections.All)+len(reactors) {
			t.Errorf("%d checkpoints, for %d readers", n, len(projections.All)+len(reactors))
		}
	})
	t.Run("the service reads by indexes, whatever PostgreSQL knows of its tables yet", func(t *testing.T) {
		t.Parallel()
		if setting := value[string](t, s.app.pool, `show enable_seqscan`); setting != "off" {
			t.Errorf("enable_seqscan is %s", setting)
		}
	})
	t.Run("each route answers", func(t *testing.T) {
		t.Parallel()
		for _, route := range routes(t, s) {
			path := strings.NewReplacer(
				":uuid", "1", ":itemid", "1", ":token", "x", ":album", "avatar", ":name", "default.jpg", ":file", "docs.js",
			).Replace(route.Path)
			a := s.do(t, s.request(t.Context(), route.Method, path, "", http.NoBody))
			if a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d", route.Method, path, a.status)
			}
		}
	})
	t.Run("each POST route is sent bad input, and without a token", func(t *testing.T) {
		t.Parallel()
		var served []string
		for _, route := range routes(t, s) {
			if route.Method == http.MethodPost {
				served = append(served, route.Path)
			}
		}
		slices.Sort(served)
		tested := posts(&person{}, 1)
		if listed := slices.Sorted(maps.Keys(tested)); !slices.Equal(served, listed) {
			t.Errorf("served are %v, and tested %v", served, listed)
		}
		for path, f := range tested {
			_, open := f["token"]
			if _, shut := closed(1)[path]; open != shut {
				t.Errorf("%s takes a token: %t, and is tested without: %t", path, open, shut)
			}
		}
	})
}

func routes(t *testing.T, s *service) gin.RoutesInfo {
	t.Helper()
	engine, ok := s.app.handler.(*gin.Engine)
	if !ok {
		t.Fatalf("the handler is a %T", s.app.handler)
	}
	return engine.Routes()
}

// touched is a transaction that a projector finds out about, if it asks it for anything.
type touched struct{ pgx.Tx }

var errTouched = errors.New("touched")

func (touched) Query(context.Context, string, ...any) (pgx.Rows, error) { return nil, errTouched }

// source parses the files of a package, tests left out.
func source(t *testing.T, folder string) []ast.Decl {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files in %s: %v", folder, err)
	}
	var decls []ast.Decl
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		decls = append(decls, file.Decls...)
	}
	return decls
}

// receivers are the types of a package that have this method.
func receivers(t *testing.T, folder, method string) []string {
	t.Helper()
	var names []string
	for _, decl := range source(t, folder) {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv != nil && f.Name.Name == method {
			names = append(names, fmt.Sprint(f.Recv.List[0].Type))
		}
	}
	return names
}

// routed are the handlers that the method Routes names.
func routed(t *testing.T, folder string) map[string]bool {
	t.Helper()
	handlers := map[string]bool{}
	for _, decl := range source(t, folder) {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Name.Name == "Routes" {
			ast.Inspect(f.Body, func(n ast.Node) bool {
				if selector, ok := n.(*ast.SelectorExpr); ok && fmt.Sprint(selector.X) == "a" {
					handlers[selector.Sel.Name] = true
				}
				return true
			})
		}
	}
	return handlers
}

// selected are the names of another package that these methods use.
func selected(t *testing.T, folder, other string, methods map[string]bool) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, decl := range source(t, folder) {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || !methods[f.Name.Name] {
			continue
		}
		ast.Inspect(f.Body, func(n ast.Node) bool {
			if selector, ok := n.(*ast.SelectorExpr); ok && fmt.Sprint(selector.X) == other {
				names[selector.Sel.Name] = true
			}
			return true
		})
	}
	return names
}
