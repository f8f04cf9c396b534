-- Money by two people: one parcel is paid for once, and the books say who is paid.

-- The same parcel, however somebody wrote its number.
DROP INDEX case_search_waybill;
CREATE INDEX case_search_waybill ON case_search (upper(waybill)) WHERE waybill IS NOT NULL;

-- A token of who is paid and how; empty where the case named nobody, as before this release.
ALTER TABLE payout ADD COLUMN payee text NOT NULL DEFAULT '';
ALTER TABLE payout_booking ADD COLUMN payee text NOT NULL DEFAULT '';

CREATE TABLE payee (
    token     text PRIMARY KEY,
    case_id   text COLLATE "C" NOT NULL,
    details   jsonb,
    salt      bytea CHECK (length(salt) = 32),
    added_at  timestamptz NOT NULL DEFAULT now(),
    erased_at timestamptz,
    CHECK ((details IS NULL) = (erased_at IS NOT NULL)),
    CHECK ((details IS NULL) = (salt IS NULL))
);
COMMENT ON TABLE payee IS
    'Whom a token stands for: name and account, personal data apart from the ledger. Never changed, only erased.';
COMMENT ON COLUMN payee.salt IS
    'The token is a digest of salt and details, so that the ledger, which has the token, commits to them.';
CREATE INDEX payee_case ON payee (case_id);

-- What all accounts of one person have in common.
ALTER TABLE staff ADD COLUMN person text;
