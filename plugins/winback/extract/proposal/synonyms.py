"""What shops call their tables and columns, in English and German: for proposing a mapping.

Each entry is a regular expression over a name in small letters without separators (`Kunden-Nr` is
`kundennr`), alternatives from the best to the weakest. Choosing among them is `likeness.py`.
"""

from __future__ import annotations

NUMBER = "(id|no|nr|num|number|nummer|key|code|uuid|ref)"
TIME = "(at|on|date|time|datetime|timestamp|ts|day|datum|zeit|zeitpunkt|am|tag|um)?"
MONEY = "(incents?|cents?|minor|eur|euro|usd|chf|gbp)?"
CHANGED = (
    f"(last)?(updated|update|modified|modification|changed|change){TIME}",
    f"(zuletzt)?(geaendert|aktualisiert){TIME}|aenderungs{TIME}|letzteaenderung",
)
# where no better word is found: when the row was made
CREATED = (
    f"(created|creation|inserted|added){TIME}",
    f"(erstellt|angelegt|erfasst|erstellungs|erfassungs|anlage){TIME}|date(created|added|add)",
    "date|datum|timestamp|zeitpunkt|datetime|time|day|tag",
)
STATUS = ("status", "state", "orderstatus", "orderstate", "bestellstatus", "zustand", "storniert")

# what one row is about; of the feed's own table and of the columns that point to it
ENTITIES: dict[str, str] = {
    "customers": "(customer|client|account|user|member|buyer|cust|kunden?|kd|mitglieds?|debitor)",
    "orders": "(order|purchase|sale|transaction|ord|bestellungs?|bestell|auftrags?|beleg)",
    "order_lines": "(orderline|orderitem|lineitem|line|item|bestellposition|position|zeilen?)",
    "products": "(product|article|item|prod|sku|artikel|produkt)",
    "returns": "(return|refund|creditnote|rma|retouren?|rueckgabe|ruecksendung|gutschrift)",
    "deliveries": "(delivery|shipment|parcel|lieferungs?|liefer|sendungs?|paket)",
    "payments": "(payment|invoice|bill|zahlungs?|rechnungs?)",
    "complaints": "(complaint|ticket|case|claim|beschwerde|reklamations?)",
    "reviews": "(review|rating|bewertungs?|rezensions?)",
    "consents": "(consent|optin|permission|einwilligungs?|zustimmungs?)",
    "contact_preferences": "(contactpreference|preference|kontaktwunsch|praeferenz)",
    "contacts": "(contact|interaction|call|conversation|kontakt|gespraechs?|anruf)",
    "carts": "(cart|basket|warenkorb)",
    "contracts": "(contract|subscription|agreement|vertrags?|abo)",
    "visits": "(visit|session|besuchs?)",
    "usage": "(usage|consumption|nutzungs?|verbrauchs?)",
    "referrals": "(referral|recommendation|empfehlungs?)",
    "survey_answers": "(surveyanswer|answer|response|antwort)",
    "appointments": "(appointment|booking|reservation|termin|buchungs?)",
    "improvements": "(improvement|fix|verbesserungs?)",
    "external_assignments": "(assignment|campaignmember|zuweisungs?)",
    "notes": "(note|notiz|vermerk)",
}

TABLES: dict[str, str] = {
    "customers": "customers?|clients?|accounts?|users?|members?|buyers?|kunden?|kundenstamm"
    "|debitoren|mitglieder",
    "orders": "orders?|purchases?|sales|salesorders?|transactions?|bestellung(en)?|auftrag"
    "|auftraege|verkaeufe|belege",
    "order_lines": "(order|sales?|purchase)?(lines?|items?|details?|positions?|rows?)|lineitems?"
    "|(bestell|bestellungs?|auftrags?)?(position(en)?|zeilen?|details?)",
    "products": "products?|articles?|items?|skus?|artikel(stamm)?|produkte?|sortiment",
    "returns": "returns?|refunds?|creditnotes?|rmas?|retouren?|rueckgaben?|ruecksendung(en)?"
    "|gutschrift(en)?|erstattung(en)?",
    "deliveries": "deliver(y|ies)|shipments?|parcels?|lieferung(en)?|sendung(en)?|pakete?",
    "payments": "payments?|invoices?|bills|zahlung(en)?|rechnung(en)?",
    "complaints": "complaints?|tickets?|cases?|claims?|beschwerden?|reklamation(en)?",
    "reviews": "(product)?reviews?|ratings?|bewertung(en)?|rezension(en)?",
    "consents": "consents?|optins?|permissions?|newsletter(subscriptions?)?|einwilligung(en)?"
    "|zustimmung(en)?",
    "contact_preferences": "((contact|communication)preferences?|preferences?|kontaktwuensche"
    "|(kontakt)?praeferenz(en)?)",
    "contacts": "contacts?|interactions?|calls?|conversations?|kontakte?|gespraeche?|anrufe?",
    "carts": "carts?|baskets?|warenkorb|warenkoerbe",
    "contracts": "contracts?|subscriptions?|agreements?|vertrag|vertraege|abos?|abonnements?",
    "visits": "visits?|(web)?sessions?|besuche?",
    "usage": "usages?|consumption|nutzung(en)?|verbrauch",
    "referrals": "referrals?|recommendations?|empfehlung(en)?",
    "survey_answers": "(survey|nps)?(answers?|responses?)|(umfrage)?(antwort|antworten|ergebnisse)",
    "appointments": "appointments?|bookings?|reservations?|termine?|buchung(en)?",
    "improvements": "improvements?|fixes|verbesserung(en)?",
    "external_assignments": "(external)?assignments?|campaignmembers?|kampagnenempfaenger",
    "notes": "notes?|(kunden)?notiz(en)?|vermerke?",
}

TIMES: dict[str, str] = {
    "registered_at": "registered|registration|signup|signedup|joined|membersince|customersince"
    "|since|kundeseit|seit|registriert|registrierungs|anmelde|angemeldet|eintritts?",
    "address_from_sale_at": "addressfromsale|adresseausverkauf|adresseausbestellung",
    "similar_goods_at": "similargoods|similarproducts|aehnlichewaren",
    "opt_out_notice_at": "optoutnotice|objectionnotice|widerspruchshinweis",
    "objected_at": "objected|objection|widersprochen|widerspruchs",
    "ordered_at": "ordered|order|placed|purchased?|sold|bestellt|bestell|bestellungs|auftrags|kauf",
    "listed_at": "listed|launched|launch|availablefrom|verfuegbarab|gelistet",
    "discontinued_at": "discontinued|ausgelistet|eingestellt|auslauf",
    "returned_at": "returned|return|refunded|refund|retouren?|rueckgabe|zurueckgesendet|erstattet",
    "shipped_at": "shipped|ship|shipping|shipment|dispatched|sent|versandt|versand|versendet",
    "promised_at": "promised|expected|estimated|eta|zugesagt|geplant|liefertermin",
    "delivered_at": "delivered|delivery|arrived|zugestellt|zustell|geliefert|lieferungs|liefer",
    "failed_at": "failed|lost|givenup|gescheitert|verloren",
    "invoiced_at": "invoiced|invoice|billed|issued|rechnungs|fakturiert",
    "due_at": "due|faellig|faelligkeits|zahlbarbis",
    "paid_at": "paid|payment|settled|bezahlt|zahlungs|beglichen",
    "opened_at": "opened|open|reported|received|eingegangen|gemeldet|eroeffnet|eingangs",
    "resolved_at": "resolved|solved|closed|geloest|erledigt|abgeschlossen|geschlossen",
    "reviewed_at": "reviewed|review|rated|bewertet|bewertungs",
    "granted_at": "granted|consented|consent|optin|given|agreed|subscribed|erteilt|zugestimmt"
    "|einwilligungs|angemeldet",
    "confirmed_at": "confirmed|confirmation|doubleoptin|doi|verified|bestaetigt|bestaetigungs",
    "withdrawn_at": "withdrawn|revoked|optout|unsubscribed|widerrufen|widerrufs|abgemeldet",
    "stated_at": "stated|set|angegeben",
    "absent_until": "absent(until)?|awayuntil|backon|abwesendbis|zurueckam",
    "contacted_at": "contacted|contact|called|call|kontaktiert|kontakt|gespraechs|anruf",
    "updated_at": "updated|modified|changed|geaendert|aktualisiert",
    "checkout_at": "checkout|checkedout|kasse",
    "started_at": "started|start|starts|begins?|validfrom|signed|beginn|vertragsbeginn|gueltigab",
    "ends_at": "ends?|ended|expires?|expiry|validto|validuntil|ende|vertragsende|gueltigbis",
    "cancelled_at": "cancell?ed|cancell?ation|storniert|storno|gekuendigt|kuendigungs|abgesagt",
    "revoked_at": "revoked|reactivated|zurueckgenommen|zurueckgezogen",
    "visited_at": "visited|visit|session|started|besucht|besuchs",
    "used_at": "used|usage|measured|genutzt|nutzungs|gemessen",
    "referred_at": "referred|referral|recommended|empfohlen|empfehlungs|geworben",
    "answered_at": "answered|answer|submitted|responded|response|beantwortet|antwort",
    "booked_at": "booked|booking|gebucht|buchungs|vereinbart",
    "planned_for_at": "planned(for)?|scheduled(for)?|appointment|starts?|termin|geplantfuer|beginn",
    "fixed_at": "fixed|improved|done|behoben|verbessert|umgesetzt",
    "assigned_at": "assigned|sent|zugewiesen|zugeteilt|versandt",
    "responded_at": "responded|response|reacted|reagiert|antwort",
    "noted_at": "noted|note|written|notiert|geschrieben|notiz",
    "occasion_at": "occasion|event|anlass",
}

WORDS: dict[str, tuple[str, ...]] = {
    "email": ("e?mail|e?mailaddress|e?mailadresse",),
    "first_name": ("firstname|givenname|forename|vorname|fname",),
    "last_name": ("lastname|surname|familyname|nachname|familienname|lname", "name|fullname"),
    "company": ("company|companyname|organi[sz]ation|firma|firmenname|unternehmen",),
    "phone": ("(tele)?phone(number|no)?|telefon(nummer|nr)?|tel", "mobile|mobil(nummer)?|handy"),
    "street": ("street|streetaddress|strasse|anschrift|str", "address(line)?1?|adresse"),
    "postal_code": ("postalcode|postcode|zip(code)?|plz|postleitzahl",),
    "city": ("city|town|ort|stadt|wohnort",),
    "account_owner": ("accountowner|accountmanager|salesrep|kundenbetreuer|betreuer",),
    "locale": ("locale|language|lang|sprache",),
    "country": ("countrycode|country|land|laendercode|staat",),
    "kind": ("kind|type|typ|art",),
    "quantity": ("quantity|qty|menge|stueck(zahl)?", "n?items|units|pieces|anzahl|count"),
    "amount_cents": (
        f"amount{MONEY}|total{MONEY}|(total|grand|order|invoice|refund)(amount|total|price){MONEY}",
        f"betrag|(gesamt|rechnungs|end|brutto|erstattungs)(betrag|summe|preis)|summe|gesamt{MONEY}",
        f"(line|sub|gross|sum)(total|amount)?{MONEY}|revenue|turnover|umsatz|brutto|zeilenpreis",
        f"(net|netto|nettobetrag|paid|value|price|preis){MONEY}",
    ),
    "cost_cents": (f"costs?{MONEY}|cogs|costprice|einkaufspreis|wareneinsatz|kosten|ek",),
    "price_cents": (f"(sales|list|unit|retail)?price{MONEY}|(verkaufs|listen)?preis|vk",),
    "currency": ("currency(code)?|waehrung(scode)?|curr",),
    "channel": ("channel|saleschannel|kanal|vertriebskanal", "medium|store|shop|filiale"),
    "voucher_code": ("(voucher|coupon|promo|discount)(code)?|(gutschein|rabatt)(code)?",),
    "line_number": ("line(number|no|nr)?|position(snr)?|pos(nr)?|zeile|zeilennummer|lfdnr", "id"),
    "name": ("name|title|bezeichnung|titel", "description|beschreibung"),
    "category": ("category(name)?|kategorie|warengruppe|productgroup|group|gruppe",),
    "brand": ("brand|marke|manufacturer|vendor|hersteller",),
    "reason": ("reason(code)?|cause|grund|ursache", "category|kategorie"),
    "cancellation_reason": ("(cancell?ation)?reason|(kuendigungs)?grund",),
    "cancelled_by": ("cancell?edby|abgesagtvon|storniertvon",),
    "n_reminders": ("(n|num|numberof)?reminders?|dunninglevel|mahnstufe|(anzahl)?mahnungen",),
    "rating": ("rating|stars|sterne|score|punkte|bewertung",),
    "text_version": ("(text|consent)?version|fassung|textfassung",),
    "source": ("source|origin|quelle|herkunft",),
    "is_wanted": ("(is)?(wanted|allowed|enabled|active)|optin|erlaubt|erwuenscht|aktiv",),
    "max_per_month": ("maxpermonth|frequency|haeufigkeit|maxpromonat",),
    "contact_person": ("contactperson|agent|employee|mitarbeiter|bearbeiter|ansprechpartner",),
    "direction": ("direction|richtung",),
    "outcome": ("outcome|result|ergebnis",),
    "text": ("text|body|message|comment|content|notiz|bemerkung|kommentar|inhalt|freitext", "note"),
    "reached": ("reached|stage|step|stufe|schritt",),
    "n_pages": ("n?pages|pageviews|views|seiten(aufrufe)?",),
    "measure": ("measure|metric|kennzahl|messgroesse", "kind|type|art"),
    "amount": ("amount|value|quantity|menge|wert|verbrauch",),
    "referred_customer_id": (f"(referred|new)(customer|friend|user){NUMBER}?|geworbenerkunde",),
    "survey": ("survey(name|id)?|umfrage",),
    "question": ("question|frage",),
    "score": ("score|value|points|punkte|wert",),
    "campaign": ("campaign(name|id)?|kampagne",),
    "campaign_type": ("campaigntype|kampagnenart",),
    "arm": ("arm|variant|group|gruppe|variante",),
    "description": ("description|beschreibung|text|title",),
    "noted_by": ("notedby|author|writtenby|createdby|verfasser|autor|erstelltvon",),
}

# the source's words for values that a feed lists
VALUES: dict[str, str] = {
    "mail": "email", "e-mail": "email", "newsletter": "email", "tel": "phone", "call": "phone",
    "telephone": "phone", "telefon": "phone", "post": "letter", "brief": "letter",
    "postal": "letter", "werbung": "ads", "private": "consumer", "privat": "consumer",
    "b2c": "consumer", "b2b": "business", "gewerblich": "business", "firma": "business",
    "company": "business", "in": "inbound", "out": "outbound", "eingehend": "inbound",
    "ausgehend": "outbound", "preis": "price", "lieferung": "delivery", "umzug": "moved",
    "unbekannt": "unknown", "quality": "product_quality", "qualitaet": "product_quality",
    "service": "service_quality", "test": "treated", "treatment": "treated", "control": "holdout",
}  # fmt: skip
