"""Mails as real programs write them, for the tests of what comes in. Addresses and people are invented."""

from __future__ import annotations

import base64
from email.message import EmailMessage

OURS = "care@caseladder.test"
SENT = "0f3a9c1d2e@caseladder"

PLAIN = f"""Return-Path: <wang@example.org>
From: Wang Xiaoming <Wang@Example.org>
To: {OURS}
Subject: Re: [complaint 2026-03-0001] About what you told us
Date: Tue, 10 Mar 2026 10:00:00 +0800
Message-ID: <CAFx-1@mail.gmail.com>
In-Reply-To: <{SENT}>
References: <thread@caseladder> <{SENT}>
MIME-Version: 1.0
Content-Type: text/plain; charset="UTF-8"

It is still not here.
When does it come?

On Tue, Mar 10, 2026 at 9:10 AM caseladder <{OURS}>
wrote:

> We are looking for it.
> Please wait.
""".encode()

HTML = f"""From: wang@example.org
Subject: Re: parcel
Message-ID: <html-1@example.org>
References: <{SENT}>
MIME-Version: 1.0
Content-Type: text/html; charset="utf-8"
Content-Transfer-Encoding: quoted-printable

<html><head><style>p {{ color: red }}</style></head><body><p>Not here &amp; not=
 there.</p><div>Second<br>line</div><script>alert(1)</script>
<div class=3D"gmail_quote">On Tue, Mar 10, 2026 caseladder wrote:<br>
<blockquote>We are <b>looking</b>.</blockquote></div>
</body></html>
""".encode()

_BODY = """包裹还是没有到。

------------------ 原始邮件 ------------------
发件人: "客服"<care@caseladder.test>;
我们正在查找。"""
_SUBJECT = "回复：[投诉 2026-03-0001] 关于您反映的事项"
QQ = (
    "From: =?gb18030?B?zfXQocP3?= <1234567@qq.com>\r\n"
    f"Subject: =?gb18030?B?{base64.b64encode(_SUBJECT.encode('gb18030')).decode()}?=\r\n"
    "Message-ID: <tencent_ABC@qq.com>\r\n"
    f"In-Reply-To: <{SENT}>\r\n"
    "X-QQ-MIME: TCMime 1.0 by Tencent\r\n"
    "MIME-Version: 1.0\r\n"
    'Content-Type: text/plain; charset="gb18030"\r\n'
    "Content-Transfer-Encoding: base64\r\n\r\n"
    f"{base64.b64encode(_BODY.encode('gb18030')).decode()}\r\n"
).encode()

# Says GB 2312, and has a character that only GB 18030 knows; eight bits, as old programs send.
GB2312 = (
    b'From: li@163.test\r\nMessage-ID: <gb@163.test>\r\nContent-Type: text/plain; charset="gb2312"\r\n'
    b"Content-Transfer-Encoding: 8bit\r\n\r\n"
    + "喆先生的包裹丢了。\n\n在 2026-03-10 09:10:00，客服 写道：\n> 正在查找。\n".encode("gb18030")
)

OUTLOOK = f"""From: "Li, Na" <li.na@example.com>
To: {OURS}
Subject: RE: [complaint 2026-03-0001] About what you told us
Message-ID: <AM0PR01@eurprd01.prod.outlook.com>
In-Reply-To: <{SENT}>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="mix"

--mix
Content-Type: multipart/alternative; boundary="alt"

--alt
Content-Type: text/plain; charset="iso-8859-1"
Content-Transfer-Encoding: quoted-printable

The caf=E9 next door has it.

________________________________
From: caseladder <{OURS}>
Sent: Tuesday, March 10, 2026 9:10 AM
To: Li, Na
Subject: About what you told us

We are looking for it.

--alt
Content-Type: text/html; charset="iso-8859-1"

<p>The other form</p>
--alt--
--mix
Content-Type: image/jpeg; name="door.jpg"
Content-Disposition: attachment; filename="door.jpg"
Content-Transfer-Encoding: base64

AAAA
--mix--
""".encode()

OUTLOOK_AWAY = f"""From: li.na@example.com
To: {OURS}
Subject: Automatic reply: [complaint 2026-03-0001] About what you told us
Message-ID: <auto-1@outlook.com>
In-Reply-To: <{SENT}>
Auto-Submitted: auto-generated
X-Auto-Response-Suppress: All
Content-Type: text/plain; charset="utf-8"

I am out of the office.
""".encode()

GMAIL_AWAY = f"""Return-Path: <>
From: Wang <wang@gmail.test>
Subject: Out of Office Re: [complaint 2026-03-0001]
Message-ID: <vacation-1@gmail.test>
In-Reply-To: <{SENT}>
Precedence: bulk
X-Autoreply: yes
Auto-Submitted: auto-replied

Away until Monday.
""".encode()

QQ_AWAY = (
    "From: 1234567@qq.com\n"
    f"Subject: =?utf-8?B?{base64.b64encode('自动回复:[投诉 2026-03-0001] 关于您反映的事项'.encode()).decode()}?=\n"
    "Message-ID: <tencent_AUTO@qq.com>\n"
    'Content-Type: text/plain; charset="utf-8"\n\n您好，我正在休假。\n'
).encode()

POSTFIX = f"""Return-Path: <>
From: MAILER-DAEMON@mail.example.net (Mail Delivery System)
To: {OURS}
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
Message-ID: <20260310.ABC@mail.example.net>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain; charset=us-ascii

This is the mail system at host mail.example.net.

<wang@example.org>: host mx.example.org said: 550 5.1.1 no such user

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example.net

Final-Recipient: rfc822; wang@example.org
Action: failed
Status: 5.1.1

--b
Content-Type: message/rfc822

From: caseladder <{OURS}>
To: wang@example.org
Subject: [complaint 2026-03-0001] About what you told us
Message-ID: <{SENT}>
X-Caseladder-Case: thread

We are looking for it.
--b--
""".encode()

EXCHANGE = f"""From: Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@example.com>
To: {OURS}
Subject: Undeliverable: [complaint 2026-03-0001] About what you told us
Message-ID: <ndr-1@example.com>
In-Reply-To: <{SENT}>
References: <{SENT}>
Content-Type: multipart/report; report-type=delivery-status; boundary="e"

--e
Content-Type: text/html; charset="utf-8"

<p>Your message to wang@example.org couldn't be delivered.</p>
--e
Content-Type: message/delivery-status

Reporting-MTA: dns;AM0PR01.example.com

Final-recipient: RFC822;wang@example.org
Action: failed
Status: 5.1.10

--e--
""".encode()

QMAIL = f"""Return-Path: <>
From: MAILER-DAEMON@old.example.net
Subject: failure notice
Message-ID: <qmail-1@old.example.net>

Hi. This is the qmail-send program.
I'm afraid I wasn't able to deliver your message.

--- Below this line is a copy of the message.

From: {OURS}
Message-ID: <{SENT}>

We are looking for it.
""".encode()

DELAYED = POSTFIX.replace(b"Action: failed", b"Action: delayed")

READ = f"""From: wang@example.org
Subject: Read: About what you told us
Message-ID: <mdn-1@example.org>
In-Reply-To: <{SENT}>
Content-Type: multipart/report; report-type=disposition-notification; boundary="m"

--m
Content-Type: text/plain

Your message was read.
--m
Content-Type: message/disposition-notification

Disposition: manual-action/MDN-sent-manually; displayed
--m--
""".encode()

OTHER_CASELADDER = f"""From: caseladder <help@other.test>
To: {OURS}
Subject: [complaint 2026-03-0777] About what you told us
Message-ID: <77aa@caseladder>
In-Reply-To: <{SENT}>
X-Caseladder-Case: 99ff
Content-Type: text/plain; charset="utf-8"

We have received your complaint.
""".encode()

NOTICE = OTHER_CASELADDER.replace(b"X-Caseladder-Case: 99ff", b"Auto-Submitted: auto-generated")

OWN_ADDRESS = f"""From: Care <{OURS.upper()}>
Subject: Fwd: something
Message-ID: <own-1@example.org>

Forwarded.
""".encode()

LIST = b"""From: news@shop.test
Subject: Sale!
Message-ID: <list-1@shop.test>
List-Id: <news.shop.test>
Precedence: list

Buy.
"""

FORGED = b"""From: eve@evil.test
Subject: Re: [complaint 2026-03-0001] About what you told us
Message-ID: <eve-1@evil.test>

Close the complaint, please.
"""

# What a picture begins with is all that is looked at.
JPEG = b"\xff\xd8\xff\xe0" + b"J" * 400


def with_files(*files: tuple[str, bytes]) -> bytes:
    """A mail that answers ours with files."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "wang@example.org", OURS, "The door"
    mail["Message-ID"], mail["In-Reply-To"] = "<files-1@x>", f"<{SENT}>"
    mail.set_content("See the pictures.")
    for name, content in files:
        mail.add_attachment(content, "application", "octet-stream", filename=name)
    return mail.as_bytes()
