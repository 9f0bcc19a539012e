--
-- PostgreSQL database dump
--


-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: Odd; Schema; Type: SCHEMA; Schema: -; Owner: postgres
--

CREATE SCHEMA "Odd; Schema";


ALTER SCHEMA "Odd; Schema" OWNER TO postgres;

--
-- Name: std(integer); Type: FUNCTION; Schema: public; Owner: postgres
--

CREATE FUNCTION public.std(a integer) RETURNS integer
    LANGUAGE sql
    BEGIN ATOMIC
 SELECT
         CASE
             WHEN (a > 0) THEN 1
             ELSE 2
         END AS "case";
 SELECT 3;
END;


ALTER FUNCTION public.std(a integer) OWNER TO postgres;

--
-- Name: trick(integer); Type: FUNCTION; Schema: public; Owner: postgres
--

CREATE FUNCTION public.trick(a integer) RETURNS text
    LANGUAGE plpgsql
    AS $_$
begin
--
-- Data for Name: fake2; Type: TABLE DATA; Schema: public; Owner: x
--
 raise notice '$$ ; \.';
 return $q$COPY fake (a) FROM stdin;
1
\.
$q$;
end $_$;


ALTER FUNCTION public.trick(a integer) OWNER TO postgres;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: a.b"c; Type: TABLE DATA; Schema: s; Owner: o; Type: TABLE; Schema: Odd; Schema; Owner: postgres
--

CREATE TABLE "Odd; Schema"."a.b""c; Type: TABLE DATA; Schema: s; Owner: o" (
    x text
);


ALTER TABLE "Odd; Schema"."a.b""c; Type: TABLE DATA; Schema: s; Owner: o" OWNER TO postgres;

--
-- Name: empty; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.empty (
    id integer
);


ALTER TABLE public.empty OWNER TO postgres;

--
-- Name: line end; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public."line
end" (
    x integer
);


ALTER TABLE public."line
end" OWNER TO postgres;

--
-- Name: plain; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.plain (
    id integer NOT NULL,
    body text,
    raw bytea
);


ALTER TABLE public.plain OWNER TO postgres;

--
-- Name: TABLE plain; Type: COMMENT; Schema: public; Owner: postgres
--

COMMENT ON TABLE public.plain IS '--
-- Data for Name: fake3; Type: TABLE DATA; Schema: public; Owner: x
--
';


--
-- Name: s; Type: SEQUENCE; Schema: public; Owner: postgres
--

CREATE SEQUENCE public.s
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER TABLE public.s OWNER TO postgres;

--
-- Name: v; Type: VIEW; Schema: public; Owner: postgres
--

CREATE VIEW public.v AS
 SELECT 'x;--'::text AS "--",
    'a\''b'::text AS "q;";


ALTER TABLE public.v OWNER TO postgres;

--
-- Name: 4242; Type: BLOB; Schema: -; Owner: postgres
--

SELECT pg_catalog.lo_create('4242');


ALTER LARGE OBJECT 4242 OWNER TO postgres;

--
-- Data for Name: a.b"c; Type: TABLE DATA; Schema: s; Owner: o; Type: TABLE DATA; Schema: Odd; Schema; Owner: postgres
--

INSERT INTO "Odd; Schema"."a.b""c; Type: TABLE DATA; Schema: s; Owner: o" VALUES
	('\'),
	('\\.');
INSERT INTO "Odd; Schema"."a.b""c; Type: TABLE DATA; Schema: s; Owner: o" VALUES
	(NULL);


--
-- Data for Name: empty; Type: TABLE DATA; Schema: public; Owner: postgres
--



--
-- Data for Name: line end; Type: TABLE DATA; Schema: public; Owner: postgres
--

INSERT INTO public."line
end" VALUES
	(1),
	(2);
INSERT INTO public."line
end" VALUES
	(3);


--
-- Data for Name: plain; Type: TABLE DATA; Schema: public; Owner: postgres
--

INSERT INTO public.plain VALUES
	(1, '--
-- Data for Name: fake; Type: TABLE DATA; Schema: public; Owner: x
--
', '\x00ff'),
	(2, '\.', NULL);
INSERT INTO public.plain VALUES
	(3, '\.
\.', '\x'),
	(4, '-- PostgreSQL database dump complete', NULL);
INSERT INTO public.plain VALUES
	(5, 'it''s $$ "quoted" $x$ \restrict abc', NULL),
	(6, 'tab	and
more', NULL);


--
-- Name: s; Type: SEQUENCE SET; Schema: public; Owner: postgres
--

SELECT pg_catalog.setval('public.s', 1, true);


--
-- Data for Name: BLOBS; Type: BLOBS; Schema: -; Owner: -
--

BEGIN;

SELECT pg_catalog.lo_open('4242', 131072);
SELECT pg_catalog.lowrite(0, '\x68656c6c6f');
SELECT pg_catalog.lo_close(0);

COMMIT;

--
-- Name: plain plain_pkey; Type: CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.plain
    ADD CONSTRAINT plain_pkey PRIMARY KEY (id);


--
-- Name: empty r; Type: RULE; Schema: public; Owner: postgres
--

CREATE RULE r AS
    ON INSERT TO public.empty DO ( DELETE FROM public.plain
  WHERE (plain.id < 0);
 DELETE FROM public.plain
  WHERE (plain.id < '-1'::integer);
);


--
-- PostgreSQL database dump complete
--


